"""MGDA: the shortest convex combination of the gradients, a descent direction for all tasks."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy
import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance, by_task, tasks
from xlearn.balance.gradients import Gradients
from xlearn.balance.gramian import lengths_and_cosines, nonnegative
from xlearn.objectives import PhaseContext


class MGDA(Balance):
    """`K sum_t w_t g_t`, `w = argmin |sum_t w_t g_t / n_t|` over the simplex, K tasks (Sener & Koltun, NeurIPS 2018).

    `normalise` is n_t: `none` 1, `l2` |g_t|, `loss` L_t, `loss+` L_t |g_t|. With `none` short gradients get most of the weight.
    As in the authors' code, n only serves to find w; the step sums the gradients without n. The paper has no factor K: with it,
    orthogonal or equal gradients of one length give the step of `equal`. Where the minimum is 0 (a Pareto-stationary point) the
    step is near zero.

    w is found exactly, by a quadratic program, in 0.3 ms (scripts/bench/balance.py). torchjd's 100 steps of Frank-Wolfe take up
    to 2.6 ms and are an approximation.
    """

    def __init__(
        self, context: PhaseContext, *, normalise: Literal["none", "l2", "loss", "loss+"] = "none", at: At = "parameters"
    ) -> None:
        self.roles, self.normalise = tasks(context, "mgda"), normalise
        self.gradients = Gradients(self.roles, at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, _ = by_task(losses, self.roles)

        def weigh(gramian: Tensor, roles: Sequence[str]) -> Tensor:
            lengths, cosines = lengths_and_cosines(gramian)
            scales = numpy.ones(len(roles))
            if self.normalise in ("loss", "loss+"):
                scales *= [max(abs(float(found[role].detach())), 1e-12) for role in roles]
            if self.normalise in ("l2", "loss+"):
                scales *= lengths
            return torch.from_numpy(len(roles) * shortest(lengths / scales, cosines))

        self.weights = self.gradients(losses, backward, weigh)


def shortest(lengths: numpy.ndarray, cosines: numpy.ndarray) -> numpy.ndarray:
    """`argmin w^T G w` over the simplex, `G_ij = l_i l_j C_ij`.

    By its optimality conditions w is a multiple of `argmin_{x >= 0} 1/2 x^T G x - sum x`.
    """
    goal = lengths.min() / lengths
    weights = nonnegative(cosines, goal) * goal
    return weights / weights.sum()
