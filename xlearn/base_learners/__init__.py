"""Base learners: algorithms that learn an episode's task from its support. Meta-learning trains their initial network.

`learner(network, support, query, tasks)` gives the logits of the queries, `float [tasks, queries, outputs]`, differentiable in
the network's parameters. Both batches hold `tasks` episodes, one after the other (see `xlearn.data.episodes`).
`learner.curve(...)` gives the same without gradients as `float [moments, tasks, queries, outputs]`: after 0, 1, ... inner
steps, or one moment without inner steps or with `every=False`.

- `reads_head`: whether it predicts with the network's head.
- `statistics`: which statistics batch normalisation uses; without it, the running ones.
- `trains(name)`: whether it adapts this parameter to a task.
- `parts(network)`: modules that it adds to the network (learned step sizes), or None.
- `log()`: what it adds to the record of an evaluation.

The last three belong to learners that adapt the network's parameters.
"""

from dataclasses import replace
from typing import Any

import lazy_loader as lazy
import torch
from torch import Tensor
from torch.nn import functional

from xlearn.base_learners.statistics import Normalisation, Statistics
from xlearn.base_learners.tasks import over_tasks, stacked
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network


def one_hot(support: Batch, tasks: int) -> Tensor:
    """`float [tasks, n, classes]`. Raises `Problem` for tasks without classes."""
    need_classes(support.space, "this base learner", "Use base_learner=gradient_descent.")
    labels = functional.one_hot(support.labels, len(support.space.classes))
    return labels.reshape(tasks, -1, labels.shape[1]).float()


def embedded(network: Network, support: Batch, query: Batch, tasks: int, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """Features of support and query, each `float [tasks, n, width]`.

    Episodes pass through the network one by one if batch normalisation would mix them, otherwise all at once.
    """
    normalisation = Normalisation(network, statistics)
    if not normalisation.modules or statistics == "running":
        with normalisation.using():
            both = [network.features(batch) for batch in (support, query)]
        first, second = (each.unflatten(0, (tasks, -1)) for each in both)
        return first, second

    def features(given: dict[str, Any]) -> dict[str, Tensor]:
        found = {}
        for name, batch in (("support", support), ("query", query)):
            normalisation.noting = name == "support"
            found[name] = network.features(rebuilt(batch, given[name]))
        return found

    with normalisation.using():
        # All tasks have the same weights, so that vectorising gains little: it takes up to twice as long.
        given = {"support": stacked(support, tasks), "query": stacked(query, tasks)}
        found = over_tasks(features, given, vectorised=False)
    return found["support"], found["query"]


def rebuilt(batch: Batch, given: dict[str, dict[str, Any]]) -> Batch:
    """The batch of one task, from its part of what `stacked` returns."""
    return replace(batch, inputs=given["inputs"], present=dict(given["present"]), labels=torch.empty(0), memo=None, taught={})


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attention": ["Attention"],
        "gradient_descent": ["GradientDescent"],
        "linear_probe": ["LinearProbe"],
        "nearest_centroid": ["NearestCentroid"],
    },
)
