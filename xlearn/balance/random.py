"""Random weights: the baseline for every balance."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext


class Random(Balance):
    """`sum_t w_t L_t`, `w = K softmax(z)`, z ~ N(0, I) anew in each step, K tasks (RLW: Lin et al., TMLR 2022).

    The paper's weights add up to 1, these to K, so that the step is as long as that of `equal`. Tasks without a loss in a
    step are left out of it. z comes from torch's global generator, which is saved and resumed with the phase.
    """

    def __init__(self, context: PhaseContext) -> None:
        self.roles = tasks(context, "random")
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        weights = len(found) * torch.randn(len(found)).softmax(0)
        self.weights = dict(zip(found, weights.unbind(), strict=True))
        backward(weighted(found, weights, others))
