"""Base learners: what learns one task from a few examples. A meta-learner makes the network from which it learns well.

Called as `learner(network, support, query, tasks)`, with `tasks` episodes one after the other in both batches (see
`xlearn.data.episodes`): logits of the queries, `float [tasks, queries, outputs]`, differentiable in the network's parameters.
`learner.curve(...)` gives `float [moments, tasks, queries, outputs]`: after 0, 1, ... inner steps, or once where there are none
or without `every`; nothing of it asks for gradients. `reads_head` says whether it predicts by the network's head. One that
changes the network for a task has `trains(name)`, which parameters; `parts(network)`, what it adds to the network (learned
step sizes) or None; and `log()`, what the record of a look says of it. One that goes by other `statistics` of batch
normalisation than the running ones has them under this name.
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
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem

NUMBERS = "this base learner tells classes apart, and these tasks predict numbers. Use gradient descent, as pretrain=maml does."


def one_hot(support: Batch, tasks: int) -> Tensor:
    """`float [tasks, n, classes]`. Raises `Problem` where tasks predict numbers."""
    if support.labels.is_floating_point():
        raise Problem(NUMBERS)
    labels = functional.one_hot(support.labels, len(support.space.classes))
    return labels.reshape(tasks, -1, labels.shape[1]).float()


def embedded(network: Network, support: Batch, query: Batch, tasks: int, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """Features of both, `float [tasks, n, width]`. Only batch normalisations make a difference between episodes that pass
    together and apart: without them all pass at once.
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
        # The weights are the same for all tasks, and what is left to share is small: vectorised it takes up to twice as long.
        given = {"support": stacked(support, tasks), "query": stacked(query, tasks)}
        found = over_tasks(features, given, vectorised=False)
    return found["support"], found["query"]


def rebuilt(batch: Batch, given: dict[str, dict[str, Any]]) -> Batch:
    """The batch of one task, from what `stacked` took of it."""
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
