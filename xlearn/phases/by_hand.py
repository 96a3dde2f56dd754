"""A network trained and measured outside of a run, by the same loop and the same metrics."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import isclass
from typing import Any

import torch

from xlearn.balance._equal import equal
from xlearn.data.batches import Batches
from xlearn.data.task import Examples, Task
from xlearn.metrics.measure import measure
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import Update, fit
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import machine
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
    """The losses of each step by name. See `xlearn.fit`."""
    place = machine(device, "fp32", None, multirun=False)
    rates = {name: Rate() for name, value in network.named_parameters() if value.requires_grad}
    if not rates:
        raise Problem("fit: no parameter of the network asks for a gradient. Unfreeze what is to be trained.")
    for role, task in tasks.items():
        if not len(task.train):
            raise Problem(f"fit: {task.name} has no labelled training example ({role}). Raise its shots.")
        if task.labels.key not in network.head:
            heads = ", ".join(network.head)
            raise Problem(f"fit: {task.name} is predicted by the head {task.labels.key!r}, and the network has {heads}.")
    counts = {role: task.class_counts() for role, task in tasks.items()}
    context = PhaseContext(network, frozenset(), counts, steps=steps, tasks=dict(tasks))
    chosen: Callable[..., Any] = CrossEntropy if objective is None else objective
    made = chosen(context) if isclass(getattr(chosen, "func", chosen)) else chosen
    update = Update([made], rates, optimizer or partial(torch.optim.Adam, lr=1e-3), lambda step, steps: 1.0, equal)
    batches = Batches({role: task.train for role, task in tasks.items()}, batch_size=batch_size, seed=seed, device=place.device)
    records = fit(network, [update], batches, steps=steps, seed=seed, machine=place)
    return [{name: float(loss) for name, loss in record.losses.items()} for record in records]


def measured(networks: Sequence[Network], task: Task, split: str, device: str) -> list[dict[str, Any]]:
    """The metrics of each network on one split. See `xlearn.evaluate`."""
    if split not in SPLITS:
        raise Problem(f"evaluate: split={split!r}: choose among {', '.join(SPLITS)}.")
    place = machine(device, "fp32", None, multirun=False)
    examples = _opened(task) if split == "test" else task.train if split == "train" else task.val
    if not len(examples):
        raise Problem(f"evaluate: {task.name} has no example in its {split} split. Raise its {split}, or choose another split.")
    classes = task.labels.classes
    return [measure(logits(network, examples, place), examples.labels, classes) for network in networks]


def _opened(task: Task) -> Examples:
    if task.test.opened:
        raise Problem(
            f"evaluate: the test split of {task.name} was opened before, and what is chosen by it is no longer measured by it. "
            "Choose by split='val', and give all networks that are to be compared in one call."
        )
    return task.test.open()
