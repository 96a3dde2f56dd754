"""IMTL-G: the step with equal projections onto the directions of all gradients."""

from collections.abc import Mapping, Sequence

import numpy
import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance, tasks
from xlearn.balance.gradients import Gradients
from xlearn.balance.gramian import lengths_and_cosines
from xlearn.objectives import PhaseContext


class IMTLG(Balance):
    """`K sum_t w_t g_t`, `sum_t w_t = 1`, such that `<d, g_t> / |g_t|` is the same for all K tasks (Liu et al., ICLR 2021,
    section 3.1).

    In closed form `w_t = v_t / sum v`, `v = C^-1 1 / |g|`, C the cosines. Weights may be below 0. The paper has no factor K:
    with it, orthogonal or equal gradients of one length give the step of `equal`. Where `sum v` is not above 0 the formula
    would climb every loss; there v is divided by `sum |v|`, which keeps the projections equal and downhill. This does not use
    torchjd, because its `pinv` of the Gramian drops gradients that are short beside others.
    """

    def __init__(self, context: PhaseContext, *, at: At = "parameters") -> None:
        self.gradients = Gradients(tasks(context, "imtl_g"), at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        lengths, cosines = lengths_and_cosines(gramian)
        v = numpy.linalg.solve(cosines, numpy.ones(len(roles))) * lengths.min() / lengths
        total, size = v.sum(), numpy.abs(v).sum()
        return torch.from_numpy(len(roles) * v / (total if total > 1e-6 * size else size))
