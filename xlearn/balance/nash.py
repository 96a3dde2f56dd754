"""Nash-MTL: the step of the Nash bargaining solution among the tasks."""

import math
from collections.abc import Mapping, Sequence

import numpy
import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance, tasks
from xlearn.balance.gradients import Gradients
from xlearn.balance.gramian import lengths_and_cosines
from xlearn.objectives import PhaseContext


class Nash(Balance):
    """`K sum_t a_t g_t / sum_t a_t` where `G a = 1 / a`, a > 0, G the Gramian of K gradients (Navon et al., ICML 2022, Claim
    3.1).

    The direction is the paper's, which does not depend on the gradients' lengths. The paper's step has the length sqrt(K) for
    all gradients; here the weights add up to K instead, so that orthogonal or equal gradients of one length give the step of
    `equal`, and the step goes to zero with the gradients. Weights are computed anew in every step.

    a minimises the convex `1/2 a^T G a - sum log a`: Newton's method on the cosines, 0.5 ms. (torchjd's NashMTL linearises the
    problem for cvxpy, which takes 15 to 30 ms, and depends on earlier steps.)
    """

    def __init__(self, context: PhaseContext, *, at: At = "parameters") -> None:
        self.gradients = Gradients(tasks(context, "nash"), at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        lengths, cosines = lengths_and_cosines(gramian)
        weights = bargained(cosines) * lengths.min() / lengths
        return torch.from_numpy(len(roles) * weights / weights.sum())


def bargained(cosines: numpy.ndarray) -> numpy.ndarray:
    """y > 0 with `C y = 1 / y`, by damped Newton steps on a self-concordant function, which keep y positive."""
    y = 1 / numpy.sqrt(numpy.abs(cosines).sum(1))
    for _ in range(100):
        slope = cosines @ y - 1 / y
        step = numpy.linalg.solve(cosines + numpy.diag(y**-2), slope)
        decrement = math.sqrt(max(slope @ step, 0.0))
        if decrement < 1e-9:
            break
        y = y - (step if decrement < 0.25 else step / (1 + decrement))
    return y
