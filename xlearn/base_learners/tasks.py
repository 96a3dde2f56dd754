"""The tasks of a step at once (vectorised), or one after the other."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from xlearn.data.columns import Sequences
from xlearn.data.task import Batch

# What vmap raises where a layer has no rule for it, or asks for the numbers in a tensor. Any other mistake of these kinds comes
# again, and is told, one task after the other.
CANNOT = (RuntimeError, ValueError)


def stacked(batch: Batch, tasks: int) -> dict[str, Any]:
    """The inputs of a batch with a dimension for the tasks in front, as nested dictionaries."""

    def apart(column: Any) -> Any:
        if isinstance(column, Sequences):
            return Sequences(apart(column.values), apart(column.mask))
        return column.unflatten(0, (tasks, -1))

    return {
        "inputs": {name: apart(column) for name, column in batch.inputs.items()},
        "present": {name: apart(column) for name, column in batch.present.items()},
    }


def over_tasks(function: Callable[[Any], Any], given: Any, vectorised: bool) -> Any:
    """`function` of what belongs to each task, with the results stacked: `given` is nested dictionaries of tensors
    `[tasks, ...]`, the result a tensor or a dictionary of them. `vectorised`: by `torch.func.vmap`, or in a loop.
    """
    if vectorised:
        return vmap(function, randomness="different")(given)
    found = [function(_of(given, task)) for task in range(count(given))]
    if isinstance(found[0], Tensor):
        return torch.stack(found)
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}


def chosen(given: Any, places: Tensor) -> Any:
    """Of every task the examples at these places, int64 `[m]`."""
    if isinstance(given, dict):
        return {name: chosen(each, places) for name, each in given.items()}
    if isinstance(given, Sequences):
        return Sequences(chosen(given.values, places), chosen(given.mask, places))
    return given.index_select(1, places)


def count(given: Any, axis: int = 0) -> int:
    """How many tasks there are in nested dictionaries of tensors `[tasks, n, ...]`; with `axis=1` how many examples each
    has."""
    if isinstance(given, dict):
        return next((found for each in given.values() if (found := count(each, axis))), 0)
    return (given.values if isinstance(given, Sequences) else given).shape[axis]


def _of(given: Any, task: int) -> Any:
    if isinstance(given, dict):
        return {name: _of(each, task) for name, each in given.items()}
    if isinstance(given, Sequences):
        return Sequences(given.values[task], given.mask[task])
    return given[task]
