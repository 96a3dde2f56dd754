"""Several tasks in one network: private parts, the parameters that a prediction uses, and the extraction of one task."""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import isclass
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, instead
from xlearn.runtime.errors import Problem
from xlearn.sharing._none import none
from xlearn.sharing.blocks import outputs
from xlearn.sharing.private import Private, batch_norms, unshared


class Parts(nn.Module):
    """All sharing structures of a network as one module: see `xlearn.sharing`."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def _having(self, name: str) -> dict[int, Any]:
        """The parts with this attribute, by position."""
        return {position: part for position, part in enumerate(self.parts) if hasattr(part, name)}

    @property
    def below(self) -> bool:
        """Whether tasks differ in more than their heads."""
        return any(getattr(part, "below", True) for part in self.parts)

    @property
    def modalities(self) -> set[str]:
        return {name for part in self._having("modalities").values() for name in part.modalities}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found: dict[nn.Module, Callable[..., Any]] = {}
        for part in self._having("overrides").values():
            # Each part builds on the overrides of the parts before it.
            with instead(found):
                own = part.overrides(network, batch)
            found |= own
        return found

    def penalties(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        parts = self._having("penalties").values()
        return {name: loss for part in parts for name, loss in part.penalties(network, batches).items()}

    def rates(self) -> dict[str, float]:
        """The multipliers of the learning rate that are not 1, by parameter name."""
        parts = self._having("rates").items()
        return {f"parts.{position}.{name}": rate for position, part in parts for name, rate in part.rates().items()}

    def stand_ins(self) -> dict[str, str]:
        """Maps each private-copy parameter to the shared parameter it replaces, by their names in the network."""
        found = {}
        for position, part in enumerate(self.parts):
            private = part if isinstance(part, Private) else getattr(part, "columns", None)
            if isinstance(private, Private):
                within = f"sharing.parts.{position}{'' if private is part else '.columns'}."
                found |= {f"{within}{name}": plain for name, plain in private.stand_ins().items()}
        return found

    def merge(self, network: Network, task: str) -> bool:
        """Write the task's private parameters into the network. Returns whether all parts merged, so that the network
        serves the task without them.
        """
        merged = [part.merge(network, task) for part in self._having("merge").values()]
        return len(merged) == len(self.parts) and all(merged)


def join(network: Network, sharing: partial[Any], tasks: Mapping[str, Task], statistics: str) -> None:
    """Add the private parts of every task under `sharing`; with `statistics=task` private batch normalisation layers.

    Raises: `Problem` if the network or the tasks do not support the sharing, or if tasks share nothing.
    """
    structured = isclass(sharing.func)
    network.keep_outputs()
    parts: list[nn.Module] = [sharing(network, tasks)] if structured else []
    names = [name for name, _ in network.named_parameters()]
    # With a structure, everything below the heads is shared except its private parts, and each task has its own head.
    shared = {name for name in names if not name.startswith("head.")} if structured else {*sharing(names, network)}
    using = {path: _users(path, tasks) for path in unshared(network, shared)}
    if own := {path: roles for path, roles in using.items() if len(roles) > 1}:
        _need_called(network, tasks, own)
        parts.insert(0, Private(network, own))
    if statistics == "task":
        parts = [*_statistics(network, tasks, parts), *parts]
    if parts:
        network.sharing = Parts(parts)
    if sharing.func is not none:
        _need_common(network, tasks)


def _statistics(network: Network, tasks: Mapping[str, Task], parts: list[nn.Module]) -> list[nn.Module]:
    """Private batch normalisation layers, except where a private part already contains them."""
    every = batch_norms(network)
    if not every:
        raise Problem("joint.statistics=task: the network has no batch normalisation. Use joint.statistics=shared.")
    if any(getattr(part, "mixes", False) for part in parts):
        raise Problem(
            "joint.statistics=task: under this sharing every column reads the inputs of all tasks, so there are no statistics "
            "of a single task. Use joint.statistics=shared, or another sharing."
        )
    covered = tuple(f"{path}." for part in parts for path in _private(part))
    norms = [path for path in every if not f"{path}.".startswith(covered or ("\0",))]
    return [Private(network, {path: _users(path, tasks) for path in norms})] if norms else []


def _need_called(network: Network, tasks: Mapping[str, Task], own: Mapping[str, Any]) -> None:
    """Raise `Problem` for a private module that is never called, because torch reads its parameters in its parent."""
    called = outputs(network, tasks, [*own])
    for path in own:
        if path not in called:
            raise Problem(
                f"sharing: {path} cannot be private, because torch reads its parameters inside "
                f"{path.rpartition('.')[0]}. Share {path}, or nothing of {path.rpartition('.')[0]}."
            )


def _private(part: nn.Module) -> list[str]:
    own = part if isinstance(part, Private) else getattr(part, "columns", None)
    return [] if own is None else [*own.of]


def _users(path: str, tasks: Mapping[str, Task]) -> list[str]:
    """The roles that use the module at a path."""
    kind, _, name = path.partition(".")
    name = name.partition(".")[0]
    if kind == "encoder" and name:
        return [role for role, task in tasks.items() if name in task.inputs]
    if kind == "head" and name:
        return [role for role, task in tasks.items() if task.labels.key == name]
    return [*tasks]


def _need_common(network: Network, tasks: Mapping[str, Task]) -> None:
    """Raise `Problem` for a task that shares no parameter with any other."""
    if any(getattr(part, "ties", False) for part in getattr(network.sharing, "parts", ())):
        return
    if len(tasks) < 2:
        raise Problem("transfer: tasks are learned together, but no phase reads a source. Set reads: both in a phase.")
    read = {role: reads(network, few(task)) for role, task in tasks.items()}
    for role, task in tasks.items():
        if not any(read[role] & read[other] for other in tasks if other != role):
            others = ", ".join(each.name for other, each in tasks.items() if other != role)
            raise Problem(
                f"sharing: {task.name} ({' and '.join(task.inputs)}) shares no parameter with {others}. Use a shared trunk "
                "(fusion=mean fusion.width=64 trunk=mlp), tasks of the same modality, or sharing=none."
            )


def few(task: Task) -> Batch:
    """At most two training examples, to probe the network with a task."""
    return task.train.take(torch.arange(min(2, len(task.train))))


def moves(network: Network, task: Task) -> set[str]:
    """The names of the parameters that a loss of the task can change."""
    return reads(network, few(task), still=False)


def reads(network: Network, batch: Batch, still: bool = True) -> set[str]:
    """The names of the parameters that a prediction for the batch's task uses, with (`still`) or without those that get no
    gradient.
    """
    parameters = dict(network.named_parameters())
    modes = [(module, module.training) for module in network.modules()]
    moving = {name: each.requires_grad for name, each in parameters.items()}
    network.eval().requires_grad_(True)
    device = next(iter(parameters.values())).device
    # cuDNN has no gradients of recurrent layers in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        total = network(batch.to(device)).float().sum()
        grads = torch.autograd.grad(total, [*parameters.values()], allow_unused=True)
    for module, training in modes:
        module.training = training
    for name, each in parameters.items():
        each.requires_grad_(moving[name])
    found = {name for name, grad in zip(parameters, grads, strict=True) if grad is not None}
    # Parameters that are used without a gradient.
    parts = network.sharing.parts if network.sharing is not None and still else ()
    behind = {id(each) for part in parts if hasattr(part, "frozen") for each in part.frozen(network, batch.task)}
    return found | {name for name, each in parameters.items() if id(each) in behind}


def alone(network: Network, task: str, head: str) -> Network:
    """A copy of the network for one task and its head, without sharing structures if all of them merge."""
    network.seen.clear()
    made = copy.deepcopy(network)
    if made.sharing is None or made.sharing.merge(made, task):
        made.sharing = None
        made.head = nn.ModuleDict({head: made.head[head]})
    return made
