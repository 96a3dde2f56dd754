"""Weights from the uncertainty of each task, learned with the network."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext


class Uncertainty(Balance, nn.Module):
    """`sum_t e^{-s_t} L_t + s_t / 2` with learned s_t = log sigma_t^2 (Kendall et al., CVPR 2018, eq. 10).

    This is the paper's form for classification; its form for regression has `L_t / 2`. s starts at 0, where the weights
    `e^{-s_t}` are those of `equal`, and settles at `e^{-s_t} = 1 / (2 L_t)`. `rate` multiplies the learning rate of s. The
    s of a task without a loss in a step gets a gradient of zero.
    """

    def __init__(self, context: PhaseContext, *, rate: float = 10.0) -> None:
        super().__init__()
        self.roles, self.rate = tasks(context, "uncertainty"), rate
        self.log_variance = nn.Parameter(torch.zeros(len(self.roles)))
        self.weights = {}

    def forward(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        log_variance = self.log_variance[[self.roles.index(role) for role in found]]
        weights = (-log_variance).exp()
        self.weights = dict(zip(found, weights.detach().unbind(), strict=True))
        backward(weighted(found, weights, others) + log_variance.sum() / 2)
