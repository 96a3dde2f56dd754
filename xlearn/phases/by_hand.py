"""Train and evaluate a network outside of a run, with the same loop and the same metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import isclass, signature
from typing import Any

import torch

from xlearn.balance._equal import equal
from xlearn.data.batches import Batches
from xlearn.data.task import Examples, Sealed, Task
from xlearn.label_spaces.checks import need_space
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network, tensors
from xlearn.networks.predictions import predict
from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.phases.normalization import NormalizationStatistics
from xlearn.phases.update import Update
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine, machine
from xlearn.runtime.needs import declared
from xlearn.trainable import Rate

SPLITS = ("train", "val", "test")


def trained(
    network: Network,
    tasks: Mapping[str, Task],
    steps: int,
    objective: Callable[..., Any] | None,
    optimizer: Callable[..., torch.optim.Optimizer] | None,
    batch_size: int,
    seed: int,
    device: str,
) -> list[dict[str, float]]:
    """Train `network` and return the losses of each step, by name. See `xlearn.fit`."""
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise Problem(f"fit: {name}={value!r}: give 1 or more.")
    _need_network(network, "fit")
    place = machine(device, "fp32", None, multirun=False)
    rates = {name: Rate() for name, value in network.named_parameters() if value.requires_grad}
    if not rates:
        raise Problem("fit: no parameter of the network requires a gradient. Unfreeze the parameters to train.")
    for role, task in tasks.items():
        if not len(task.train):
            raise Problem(f"fit: {task.name} has no labelled training example ({role}). Raise its shots.")
        _need_head(network, task, "fit")
    if isinstance(optimizer, torch.optim.Optimizer):
        raise Problem("fit: fit builds the optimizer itself. Give a partial, e.g. partial(torch.optim.SGD, lr=0.1).")
    counts = {role: task.class_counts() for role, task in tasks.items()}
    context = PhaseContext(network, frozenset(), counts, steps=steps, tasks=dict(tasks))
    chosen: Callable[..., Any] = CrossEntropy if objective is None else objective
    made = _made(chosen, context, network)
    update = Update([made], rates, optimizer or partial(torch.optim.Adam, lr=1e-3), lambda step, steps: 1.0, equal)
    batches = Batches({role: task.train for role, task in tasks.items()}, batch_size=batch_size, seed=seed, device=place.device)
    read, before = {role: task.train for role, task in tasks.items()}, tensors(network)
    records = fit(network, [update], batches, steps=steps, seed=seed, machine=place)
    losses = [{name: float(loss) for name, loss in record.losses.items()} for record in records]
    size = sum(min(batch_size, len(each)) for each in read.values())
    NormalizationStatistics("exact", network, read, False, before, size, seed, place).finish(steps)
    return losses


def _made(chosen: Callable[..., Any], context: PhaseContext, network: Network) -> Callable[..., Any]:
    """The objective, ready to be called. Raises `Problem` for one that needs more than labelled examples, and for missing
    arguments.
    """
    given_to = chosen if isinstance(chosen, partial) else partial(chosen)
    name = getattr(given_to.func, "__name__", type(given_to.func).__name__)
    if isinstance(given_to.func, torch.nn.Module):
        raise Problem(f"fit: objective={name}: give a function of (network, batches by role), or a class of xlearn.objectives.")
    needs = declared(given_to)
    if lacking := replace(needs, **GIVEN).words():
        raise Problem(
            f"fit: {name} needs {lacking[0]}, which a run gives it: use xlearn.run (xlearn.show() lists the options)."
        )
    for task in context.tasks.values():
        need_space(needs, task.labels, f"fit: {name}", "Choose another one, or a task of these labels.")
    given = (context,) if isclass(given_to.func) else (network, {})
    try:
        signature(chosen).bind(*given)
    except TypeError as error:
        raise Problem(f"fit: {name}: {error}. Give a partial with its arguments, e.g. partial({name}, ...).") from error
    return chosen(context) if isclass(given_to.func) else chosen


# Needs that `fit` meets: labelled examples, read as they are.
GIVEN: dict[str, Any] = {
    "labels": True, "trains_head": True, "raw_inputs": False, "runs_encoders": False, "copied": False, "batch": 1,
    "spaces": (), "class_shares": False, "plain_loss": False,
}  # fmt: skip


def _need_network(network: Any, caller: str) -> None:
    if not isinstance(network, Network):
        raise Problem(f"{caller}: {type(network).__name__} is no xlearn.Network. Build one of encoders, a fusion and heads.")


def _need_head(network: Network, task: Task, caller: str) -> None:
    """Raise where the network cannot predict the task: it lacks the head, or an encoder."""
    if task.labels.key not in network.head:
        heads = ", ".join(network.head)
        raise Problem(f"{caller}: {task.name} is predicted by the head {task.labels.key!r}, but the network has {heads}.")
    if not {*task.inputs} & {*network.encoder}:
        there = ", ".join(network.encoder)
        raise Problem(f"{caller}: {task.name} has {', '.join(sorted(task.inputs))}, but the network has encoders for {there}.")


def measured(networks: Sequence[Network], task: Task, split: str, device: str) -> list[dict[str, Any]]:
    """The metrics of each network on one split. See `xlearn.evaluate`."""
    if split not in SPLITS:
        raise Problem(f"evaluate: split={split!r}: choose among {', '.join(SPLITS)}.")
    if not networks:
        raise Problem("evaluate: give a network, or several.")
    if not len(examples := {"train": task.train, "val": task.val, "test": task.test}[split]):
        raise Problem(f"evaluate: {task.name} has no example in its {split} split. Raise its {split}, or choose another split.")
    place = machine(device, "fp32", None, multirun=False)
    for network in networks:
        _need_network(network, "evaluate")
        _need_head(network, task, "evaluate")
        if split == "test":  # the test split opens once, so try the network on other examples first
            _try(network, task, place)
    opened = _opened(task) if isinstance(examples, Sealed) else examples
    return [predict(network, opened, place).measure() for network in networks]


def _try(network: Network, task: Task, place: Machine) -> None:
    others = next((each for each in (task.train, task.val, task.unlabeled) if len(each)), None)
    if others is None:
        return
    try:
        logits(network, others.subset(torch.arange(1)), place)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise Problem(
            f"evaluate: a network cannot read the examples of {task.name} ({error}). The test split stays closed."
        ) from error


def _opened(task: Task) -> Examples:
    if task.test.opened:
        raise Problem(
            f"evaluate: the test split of {task.name} was opened before. A second evaluation would select on test data. "
            "Select with split='val', and give all networks to compare in one call."
        )
    return task.test.open()
