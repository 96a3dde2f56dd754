"""Several tasks in one network: private parts, the parameters that a prediction uses, and the extraction of one task."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import isclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, instead
from xlearn.networks.unshared import Unshared
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared
from xlearn.sharing import COPIES, Structure
from xlearn.sharing.blocks import outputs
from xlearn.sharing.private import Private, batch_norms, unshared


class Parts(nn.Module):
    """All sharing structures of a network as one module: see `xlearn.sharing.Structure`."""

    def __init__(self, parts: Iterable[Structure]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def __iter__(self) -> Iterator[Structure]:
        return cast("Iterator[Structure]", iter(self.parts))

    @property
    def below(self) -> bool:
        """Whether tasks differ in more than their heads."""
        return any(part.below for part in self)

    @property
    def modalities(self) -> set[str]:
        return {name for part in self for name in part.modalities}

    @property
    def mixes(self) -> bool:
        return any(part.mixes for part in self)

    @property
    def ties(self) -> bool:
        return any(part.ties for part in self)

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found: dict[nn.Module, Callable[..., Any]] = {}
        for part in self:
            # Each part builds on the overrides of the parts before it.
            with instead(found):
                own = part.overrides(network, batch)
            found |= own
        return found

    def penalties(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {name: loss for part in self for name, loss in part.penalties(network, batches).items()}

    def rates(self) -> dict[str, float]:
        """The multipliers of the learning rate that are not 1, by parameter name."""
        return {f"parts.{position}.{name}": rate for position, part in enumerate(self) for name, rate in part.rates().items()}

    def stand_ins(self) -> dict[str, str]:
        """Maps each private-copy parameter to the shared parameter it replaces, by their names in the network."""
        return {
            f"sharing.parts.{position}.{within}{name}": plain
            for position, part in enumerate(self)
            for within, private in part.private().items()
            for name, plain in private.stand_ins().items()
        }

    def frozen(self, network: Network, role: str) -> set[int]:
        """The identities of the parameters that the task uses without a gradient."""
        return {id(each) for part in self for each in part.frozen(network, role)}

    def merge(self, network: Network, task: str) -> bool:
        """Write the task's private parameters into the network. Returns whether all parts merged, so that the network
        serves the task without them.
        """
        merged = [part.merge(network, task) for part in self]
        return all(merged)

    def report(self) -> list[dict[str, Any]]:
        """For `result.json`: the layers with and without the parts of each structure that names them."""
        return [found for part in self if (found := part.report())]


def join(network: Network, sharing: partial[Any], tasks: Mapping[str, Task], statistics: str) -> None:
    """Add the private parts of every task under `sharing`; with `statistics=task` private batch normalisation layers.

    Raises: `Problem` if the network or the tasks do not support the sharing, or if tasks share nothing.
    """
    structured = isclass(sharing.func)
    network.keep_outputs()
    parts: list[Structure] = [sharing(network, tasks)] if structured else []
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
    if structured or declared(sharing, COPIES).copied:
        _need_common(network, tasks)


def _statistics(network: Network, tasks: Mapping[str, Task], parts: list[Structure]) -> list[Structure]:
    """Private batch normalisation layers, except where a private part already contains them."""
    every = batch_norms(network)
    if not every:
        raise Problem("joint.statistics=task: the network has no batch normalisation. Use joint.statistics=shared.")
    if Parts(parts).mixes:
        raise Problem(
            "joint.statistics=task: under this sharing every column reads the inputs of all tasks, so there are no statistics "
            "of a single task. Use joint.statistics=shared, or another sharing."
        )
    covered = tuple(f"{path}." for part in parts for private in part.private().values() for path in private.of)
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
    if network.sharing.ties:
        return
    if len(tasks) < 2:
        raise Problem(
            "transfer: tasks are learned together, but no phase reads a source. Set reads: [source, target] in a phase."
        )
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
    # Parameters that are used without a gradient.
    behind = network.sharing.frozen(network, batch.task) if still else set()
    return _reached(network, batch, network) | {name for name, each in network.named_parameters() if id(each) in behind}


def below_heads(network: Network, batch: Batch) -> set[str]:
    """The names of the parameters that get a gradient through the batch's features below the heads."""
    return _reached(network, batch, network.features)


def _reached(network: Network, batch: Batch, output: Callable[[Batch], Tensor]) -> set[str]:
    """The names of the parameters that get a gradient through `output`, a function of the network."""
    parameters = dict(network.named_parameters())
    modes = [(module, module.training) for module in network.modules()]
    moving = {name: each.requires_grad for name, each in parameters.items()}
    network.eval().requires_grad_(True)
    device = next(iter(parameters.values())).device
    # cuDNN has no gradients of recurrent layers in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        total = output(batch.to(device)).float().sum()
        grads = torch.autograd.grad(total, [*parameters.values()], allow_unused=True) if total.requires_grad else ()
    for module, training in modes:
        module.training = training
    for name, each in parameters.items():
        each.requires_grad_(moving[name])
    return {name for name, grad in zip(parameters, grads, strict=False) if grad is not None}


def alone(network: Network, task: str, head: str) -> Network:
    """A copy of the network for one task and its head, without sharing structures if all of them merge."""
    network.seen.clear()
    made = copy.deepcopy(network)
    if made.sharing.merge(made, task):
        made.sharing = Unshared()
        made.head = nn.ModuleDict({head: made.head[head]})
    return made
