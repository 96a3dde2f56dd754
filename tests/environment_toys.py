"""Several labelled environments, as objectives meet them."""

from dataclasses import replace

import torch
import toys
from adaptation_toys import task
from torch.nn import functional

from xlearn.objectives import Start


def begin(count=3, steps=10, classes=3):
    """A start with so many environments, and the network."""
    tasks = {f"e{n}": task(replace(toys.examples(24, classes, seed=n), task=f"e{n}")) for n in range(count)}
    net = toys.network(next(iter(tasks.values())).train)
    counts = {role: each.class_counts() for role, each in tasks.items()}
    return Start(net, frozenset(), counts, steps=steps, tasks=tasks), net


def batch_of(start, size=12):
    return {role: replace(each.train.take(torch.arange(size)), memo={}) for role, each in start.tasks.items()}


def losses_of(net, given):
    return [functional.cross_entropy(net(batch), batch.labels).item() for batch in given.values()]
