"""The nearest class mean."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from xlearn.base_learners import BaseLearner, embedded, one_hot
from xlearn.base_learners.statistics import Statistics
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem


class NearestCentroid(BaseLearner):
    """Logits `-||f(x) - c_y||^2` with c_y the mean of f over the support of class y, f being the features below the head
    (prototypical networks, Snell et al., NIPS 2017). `distance: cosine` gives `scale * cos(f(x), c_y)` instead (Chen et al.,
    ICLR 2019, have a learned scale; here it is fixed).

    `statistics` of batch normalisation: see `xlearn.base_learners.statistics`. Raises `Problem` for a scale not above 0.
    """

    needs = replace(BaseLearner.needs, spaces=(Classes,))

    def __init__(
        self, *, distance: Literal["euclidean", "cosine"] = "euclidean", scale: float = 10.0, statistics: Statistics = "batch"
    ) -> None:
        if not scale > 0:
            raise Problem(f"base_learner.scale={scale}: give more than 0, e.g. 10.")
        self.distance, self.scale, self.statistics = distance, scale, statistics

    def __call__(self, network: Network, support: Batch, query: Batch, tasks: int) -> Tensor:
        first, second = embedded(network, support, query, tasks, self.statistics)
        with torch.autocast(first.device.type, enabled=False):
            first, second, labels = first.float(), second.float(), one_hot(support, tasks)
            centroids = labels.mT @ first / labels.sum(1).unsqueeze(-1)
            if self.distance == "cosine":
                return self.scale * torch.cosine_similarity(second.unsqueeze(2), centroids.unsqueeze(1), dim=3)
            return -torch.cdist(second, centroids, compute_mode="donot_use_mm_for_euclid_dist").square()

    @torch.no_grad()
    def curve(self, network: Network, support: Batch, query: Batch, tasks: int, every: bool = True) -> Tensor:
        return self(network, support, query, tasks).unsqueeze(0)
