"""Base learners: algorithms that learn an episode's task from its support. Meta-learning trains their initial network.

A base learner inherits from `BaseLearner`. `learner(network, support, query, tasks)` gives the logits of the queries, `float
[tasks, queries, outputs]`, differentiable in the network's parameters. Both batches hold `tasks` episodes, one after the other
(see `xlearn.data.episodes`).
"""

from dataclasses import replace
from typing import Any

import lazy_loader as lazy
import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.base_learners.statistics import Normalisation, Statistics
from xlearn.base_learners.tasks import over_tasks, stacked
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import SUPERVISED, Declares


class BaseLearner(Declares):
    """A base learner, with hooks that do nothing here. It needs a trained head (`trains_head`) if it predicts with the
    network's head.
    """

    needs = replace(SUPERVISED, trains_head=False)
    # The statistics of batch normalisation in an episode (see `xlearn.base_learners.statistics`).
    statistics: Statistics = "running"

    def curve(self, network: Network, support: Batch, query: Batch, tasks: int, every: bool = True) -> Tensor:
        """The logits of the queries without gradients, `float [moments, tasks, queries, outputs]`: after 0, 1, ... inner steps,
        or one moment without inner steps or with `every=False`.
        """
        raise NotImplementedError

    def trains(self, name: str) -> bool:
        """Whether it adapts this parameter of the network to a task."""
        return False

    def parts(self, network: Network) -> nn.Module | None:
        """Modules that it adds to the network (learned step sizes)."""
        return None

    def weights(self, network: Network, support: Batch, tasks: int, minibatch: int | None = None) -> dict[str, Tensor]:
        """The parameters after learning each task, `[tasks, ...]` each. Raises `Problem` for a learner that has no inner
        steps.
        """
        raise Problem(
            f"base_learner={type(self).__name__} has no inner steps. Use a gradient-descent base learner, as in "
            "pretrain=reptile."
        )

    def log(self) -> dict[str, Any]:
        """Added to the record of an evaluation."""
        return {}


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
