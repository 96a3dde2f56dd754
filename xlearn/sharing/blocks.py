"""Helpers for sharings: a network's blocks, their outputs, and batches that concatenate one part per column."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.networks.network import Network, instead
from xlearn.networks.outputs import first, like
from xlearn.networks.present import having
from xlearn.runtime.errors import Problem

# Replaces the dots of a path in the name of a single module.
SLASH = "/"


def users(network: Network, tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """The roles of the tasks that have each modality, by modality, in the order of the tasks."""
    return {name: [role for role, task in tasks.items() if name in task.inputs] for name in network.encoder}


def owner(roles: Sequence[str]) -> str:
    """The task that uses the network's own modules, while others have copies: the target, or else the first."""
    return "target" if "target" in roles else roles[0]


def above(network: Network, tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """Fusion and trunk, if they have parameters, with the roles that use them (all)."""
    return {name: [*tasks] for name in ("fusion", "trunk") if any(True for _ in network.get_submodule(name).parameters())}


def copy_key(path: str) -> str:
    """A path as a module name, which must not contain a dot."""
    return path.replace(".", SLASH)


def role_key(role: str) -> str:
    """A role as a module name, distinct from all attributes of `nn.ModuleDict`."""
    return f"of_{role}"


def part_key(role: str, path: str) -> str:
    """The module name of a task's private part at a path."""
    return f"{role_key(role)}{SLASH}{copy_key(path)}"


@torch.no_grad()
def outputs(network: Network, tasks: Mapping[str, Task], paths: Sequence[str]) -> dict[str, Tensor]:
    """The first output tensor of each module, by path, for two examples of the first task that calls it: the shortest and the
    longest, where they have lengths. Modules that are never called are left out. Raises `Problem` for a module that reads the
    examples of a batch one length after the other.
    """
    found: dict[str, Tensor] = {}
    calls: list[tuple[str, int]] = []
    modes = [(module, module.training) for module in network.modules()]

    def noting(path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            given = forward(*arguments, **named)
            found.setdefault(path, first(given))
            calls.append((path, len(first(given)) if first(given).ndim else 0))
            return given

        return noted

    forwards = {network.get_submodule(path): noting(path, network.get_submodule(path).forward) for path in paths}
    network.eval()
    device = next(network.parameters()).device
    with instead(forwards):
        for task in tasks.values():
            lengths = task.train.lengths()
            order = torch.arange(len(task.train)) if lengths is None else lengths.argsort(stable=True)
            for rows in having(task.train, order):
                calls.clear()
                batch = task.train.take(rows if len(rows) < 2 else rows[[0, -1]]).to(device)
                network.head[task.labels.key](network.joined(network.tokens(batch)))
                if parts := [path for path, count in calls if len(batch) > 1 and count == 1 and calls.count((path, 1)) > 1]:
                    raise Problem(
                        f"sharing: {parts[0]} reads the inputs of a batch one length after the other, because padding would "
                        "change its outputs, so that columns of several tasks cannot read from each other. Use "
                        "sharing=encoder or none, or an encoder that reads padded batches."
                    )
    for module, training in modes:
        module.training = training
    return found


def part(value: Any, column: int, columns: int, size: int) -> Any:
    """The part of one column in a value that concatenates `columns` parts of `size` examples; other values are unchanged."""
    if isinstance(value, Tensor):
        whole = value.ndim > 0 and len(value) == columns * size
        return value[column * size : (column + 1) * size] if whole else value
    return _each(value, lambda inner: part(inner, column, columns, size))


def together(values: Sequence[Any]) -> Any:
    """Concatenate the parts of all columns, the inverse of `part`."""
    one = values[0]
    if isinstance(one, Tensor):
        return torch.cat([*values]) if one.ndim else one
    if isinstance(one, tuple | list):
        return like(one, [together(parts) for parts in zip(*values, strict=True)])
    if isinstance(one, dict):
        return {name: together([value[name] for value in values]) for name in one}
    return one


def repeated(value: Any, columns: int) -> Any:
    """Repeat the value for every column."""
    if isinstance(value, Tensor):
        return value.repeat(columns, *[1] * (value.ndim - 1))
    return _each(value, lambda inner: repeated(inner, columns))


def _each(value: Any, make: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple | list):
        return like(value, [make(each) for each in value])
    if isinstance(value, dict):
        return {name: make(each) for name, each in value.items()}
    return value
