"""Runs a function for all tasks of a step, vectorised or one after the other."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from xlearn.data.columns import Sequences
from xlearn.data.task import Batch

# vmap raises these for a layer without a batching rule, or one that reads the values of a tensor. Other errors of these types
# are raised again by the loop over tasks.
CANNOT = (RuntimeError, ValueError)


def stacked(batch: Batch, tasks: int) -> dict[str, Any]:
    """The inputs of a batch with a leading dimension for the tasks, as nested dictionaries."""

    def apart(column: Any) -> Any:
        if isinstance(column, Sequences):
            return Sequences(apart(column.values), apart(column.mask))
        return column.unflatten(0, (tasks, -1))

    return {
        "inputs": {name: apart(column) for name, column in batch.inputs.items()},
        "present": {name: apart(column) for name, column in batch.present.items()},
    }


def over_tasks(function: Callable[[Any], Any], given: Any, vectorised: bool) -> Any:
    """Apply `function` to each task's part of `given` and stack the results. `given` is nested dictionaries of tensors
    `[tasks, ...]`, the result a tensor or a dictionary of them. `vectorised`: by `torch.func.vmap`, otherwise in a loop.
    """
    if vectorised:
        return vmap(function, randomness="different")(given)
    found = [function(_of(given, task)) for task in range(count(given))]
    if isinstance(found[0], Tensor):
        return torch.stack(found)
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}


def chosen(given: Any, places: Tensor) -> Any:
    """The examples at `places` (int64 `[m]`) of every task."""
    if isinstance(given, dict):
        return {name: chosen(each, places) for name, each in given.items()}
    if isinstance(given, Sequences):
        return Sequences(chosen(given.values, places), chosen(given.mask, places))
    return given.index_select(1, places)


def count(given: Any, axis: int = 0) -> int:
    """The number of tasks in nested dictionaries of tensors `[tasks, n, ...]`; with `axis=1`, of examples per task."""
    if isinstance(given, dict):
        return next((found for each in given.values() if (found := count(each, axis))), 0)
    return (given.values if isinstance(given, Sequences) else given).shape[axis]


def _of(given: Any, task: int) -> Any:
    if isinstance(given, dict):
        return {name: _of(each, task) for name, each in given.items()}
    if isinstance(given, Sequences):
        return Sequences(given.values[task], given.mask[task])
    return given[task]
