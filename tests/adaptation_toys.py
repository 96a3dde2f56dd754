"""A source and an unlabelled target that differ, as objectives meet them."""

from dataclasses import replace

import torch
from toys import examples, network

from xlearn.data.task import Batch, Examples, ImageSpec, Sealed, Task
from xlearn.data.unlabeled import UNLABELED, hidden
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext


def task(given: Examples, name: str = "toy", unlabeled: Examples | None = None) -> Task:
    """All examples are training examples (or, of `unlabeled`, unlabelled ones); the first ten also validate and test."""
    few = given.subset(torch.arange(min(10, len(given))))
    none = given.subset(torch.arange(0))
    specs = {"image": ImageSpec(1, 6, 6)}
    return Task(name, specs, given.space, given, few, unlabeled or none, Sealed(name, few), "toy", f"{name} toy")


def domain_tasks(count: int = 48, classes: int = 3, shots: int = 0) -> dict[str, Task]:
    """`{"source": ..., "unlabeled": ...}`, and `target` with labelled examples if there are shots."""
    source = replace(examples(count, classes, seed=1), task="source")
    other = examples(count, classes, seed=2)
    brighter = replace(other, inputs={"image": (other.inputs["image"] // 2 + 100).byte()})
    labelled = brighter.subset(torch.arange(shots * classes))
    target = task(labelled if shots else brighter, "other", unlabeled=brighter)
    found = {"source": task(source, "toy"), UNLABELED: hidden(target)}
    return {**found, "target": target} if shots else found


def begin(count: int = 48, classes: int = 3, shots: int = 0, steps: int = 10, seed: int = 0) -> tuple[PhaseContext, Network]:
    """What an objective is built with, and the network."""
    tasks = domain_tasks(count, classes, shots)
    net = network(tasks["source"].train, seed=seed)
    counts = {role: each.class_counts() for role, each in tasks.items() if role != UNLABELED}
    return PhaseContext(net, frozenset(), counts, steps=steps, tasks=tasks), net


def batch_of(context: PhaseContext, size: int = 16) -> dict[str, Batch]:
    """The first examples of every role, as a step has them."""
    return {
        role: replace(each.train.take(torch.arange(min(size, len(each.train)))), memo={})
        for role, each in context.tasks.items()
    }
