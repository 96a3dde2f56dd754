"""Attention over the support: matching networks."""

from dataclasses import replace

import torch
from torch import Tensor

from xlearn.base_learners import BaseLearner, embedded, one_hot
from xlearn.base_learners.statistics import Statistics
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem


class Attention(BaseLearner):
    """`p(y | x) = sum_i a(x, x_i) [y_i = y]`, `a = softmax_i(scale * cos(f(x), f(x_i)))` over the support (matching networks,
    Vinyals et al., NIPS 2016, eq. 1, without full context embeddings; there scale is 1, with which no probability comes near
    1). Logits are `log p`.

    Raises `Problem` for a scale that is not above 0.
    """

    needs = replace(BaseLearner.needs, spaces=(Classes,))

    def __init__(self, *, scale: float = 10.0, statistics: Statistics = "batch") -> None:
        if not scale > 0:
            raise Problem(f"base_learner.scale={scale}: give more than 0, e.g. 10.")
        self.scale, self.statistics = scale, statistics

    def __call__(self, network: Network, support: Batch, query: Batch, tasks: int) -> Tensor:
        first, second = embedded(network, support, query, tasks, self.statistics)
        with torch.autocast(first.device.type, enabled=False):
            likeness = torch.cosine_similarity(second.float().unsqueeze(2), first.float().unsqueeze(1), dim=3)
            # In logarithms, so that a distant query has a gradient too.
            weights = (self.scale * likeness).log_softmax(2).unsqueeze(3)
            others = one_hot(support, tasks).unsqueeze(1) == 0
            return weights.masked_fill(others, -torch.inf).logsumexp(2)

    @torch.no_grad()
    def curve(self, network: Network, support: Batch, query: Batch, tasks: int, every: bool = True) -> Tensor:
        return self(network, support, query, tasks).unsqueeze(0)
