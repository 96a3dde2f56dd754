"""The geometric mean of the losses, which is invariant to their scales."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


class GeometricMean(Balance):
    """`K (prod_t max(L_t, epsilon))^(1/K)` of K tasks (Chennupati et al., CVPR workshops 2019).

    The gradient is `sum_t w_t g_t` with `w_t = (prod_s L_s)^(1/K) / L_t`. The paper has no factor K; with it, losses of one
    size are weighed as in `equal`. A loss of `epsilon` or less has no gradient, and one near 0 makes the weights of all others
    small: use this for losses that stay above 0. Tasks without a loss in a step are left out.

    Raises `Problem` for an epsilon that is not above 0.
    """

    def __init__(self, context: PhaseContext, *, epsilon: float = 1e-8) -> None:
        if not epsilon > 0:
            raise Problem(f"balance.epsilon={epsilon}: give a number above 0, e.g. 1e-8; losses are clamped there.")
        self.roles, self.epsilon = tasks(context, "gls"), epsilon
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        # The weights are computed in closed form: the product of a hundred small losses would underflow.
        values = torch.stack([*found.values()]).detach() if found else torch.ones(0)
        clamped = values.clamp_min(self.epsilon)
        weights = clamped.log().mean().exp() / clamped * (values > self.epsilon)
        self.weights = dict(zip(found, weights.unbind(), strict=True))
        backward(weighted(found, weights, others))
