"""CAGrad: near the mean gradient, the step that maximises the smallest improvement among the tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy
import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance, tasks
from xlearn.balance.gradients import Gradients
from xlearn.balance.gramian import RIDGE, lengths_and_cosines, nonnegative
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem

STEPS, TOLERANCE = 60, 1e-10


class CAGrad(Balance):
    """`K d / s`, `d = argmax_d min_t <g_t, d>` with `|d - g_0| <= c |g_0|`, g_0 the mean of the K gradients (Liu et al.,
    NeurIPS 2021; `c=0.5` as there).

    `rescale` is s: `none` 1, `linear` 1 + c, `square` 1 + c^2; the last two are those of the authors' code. The paper's d
    is near a mean; with K and `linear`, gradients of one length that are orthogonal or equal give the step of `equal`.
    c = 0 is `equal`. Gradients that add up to zero give a step of zero.
    d is found from its dual (see `away`), in 0.5 ms (scripts/bench/balance.py): torchjd's takes 6 ms, as long as some
    networks' steps.
    Raises `Problem` for a c outside [0, 1).
    """

    def __init__(
        self,
        context: PhaseContext,
        *,
        c: float = 0.5,
        rescale: Literal["none", "linear", "square"] = "linear",
        at: At = "parameters",
    ) -> None:
        if not 0 <= c < 1:
            raise Problem(f"balance.c={c}: give a radius in [0, 1), e.g. 0.5.")
        self.c, self.scale = c, {"none": 1.0, "linear": 1 + c, "square": 1 + c**2}[rescale]
        self.gradients = Gradients(tasks(context, "cagrad"), at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        return torch.from_numpy((1 + len(roles) * away(gramian, self.c)) / self.scale)


def away(gramian: Tensor, c: float) -> numpy.ndarray:
    """x >= 0 `[tasks]` with `d = g_0 + sum_t x_t g_t`, `|d - g_0| = c |g_0|`.

    At the optimum `<g_t, d> >= m`, with equality where x_t > 0: x solves the quadratic program `1/2 x^T G x -
    sum_t (m - <g_t, g_0>) x_t` over x >= 0, for the m at which its length is c |g_0|. The length is a convex function of m,
    so Newton's method comes down on m from above; `m <= <g_t, g_0> + c |g_0| |g_t|` for every t. Tasks are measured in their
    gradients' lengths, and m in the shortest.
    """
    lengths, cosines = lengths_and_cosines(gramian)
    lengths = lengths / lengths.max()
    with_mean = cosines @ lengths / len(lengths)
    squared = lengths @ with_mean / len(lengths)
    x = numpy.zeros(len(lengths))
    if c == 0 or squared < 2 * RIDGE:  # the gradients add up to zero, up to rounding
        return x
    radius = c * math.sqrt(squared)
    units = lengths.min() / lengths
    m = ((with_mean + radius) / units).min()
    for _ in range(STEPS):
        # Very negative goals would cost the others precision, and y is 0 there anyway: |y| < 1e3 |d - g_0|.
        goal = numpy.maximum(m * units - with_mean, -1e4)
        y = nonnegative(cosines, goal)
        length = math.sqrt(y @ cosines @ y)
        if length > 0:
            x = y / lengths * (radius / length)
        if length <= radius * (1 + TOLERANCE):
            break
        m -= (length - radius) * length / (y @ units)
    return x
