"""Weighs each source by the cosine between its gradient and the target's."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance
from xlearn.balance.auxiliary import with_target
from xlearn.balance.gradients import Gradients
from xlearn.objectives import PhaseContext


class GradientSimilarity(Balance):
    """`g_target + sum_s w_s g_s` over the sources s, `w_s = max(0, cos(g_target, g_s))` (Du et al., arXiv 1812.02224, the
    weighted version); with `hard` w_s is 1 where that cosine is 0 or more, else 0 (the unweighted one).

    A source with a gradient in the target's direction counts as in `equal`. Heads keep their own gradients. In a step without a
    loss of the target, or with a zero gradient of it, all weights are 1.

    Raises `Problem` if the target is not among the tasks.
    """

    def __init__(self, context: PhaseContext, *, hard: bool = False, at: At = "parameters") -> None:
        self.hard = hard
        self.gradients = Gradients(with_target(context, "gradient_similarity"), at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        if "target" not in roles:
            return torch.ones(len(roles))
        target = [*roles].index("target")
        lengths = gramian.diagonal().sqrt()
        cosine = (gramian[target] / lengths / lengths[target]).clamp(-1, 1)
        cosine[target] = 1
        return (cosine >= 0).double() if self.hard else cosine.clamp_min(0)
