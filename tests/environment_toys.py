"""Several labelled environments, as objectives meet them."""

from dataclasses import replace

import torch
import toys
from adaptation_toys import task
from torch.nn import functional

from xlearn.objectives import PhaseContext


def begin(count=3, steps=10, classes=3):
    """A context with so many environments, and the network."""
    tasks = {f"e{n}": task(replace(toys.examples(24, classes, seed=n), task=f"e{n}")) for n in range(count)}
    net = toys.network(next(iter(tasks.values())).train)
    counts = {role: each.class_counts() for role, each in tasks.items()}
    return PhaseContext(net, frozenset(), counts, steps=steps, tasks=tasks), net


def batch_of(context, size=12):
    return {role: replace(each.train.take(torch.arange(size)), memo={}) for role, each in context.tasks.items()}


def losses_of(net, given):
    return [functional.cross_entropy(net(batch), batch.labels).item() for batch in given.values()]
