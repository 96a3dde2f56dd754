"""Aligned-MTL: makes the gradients of the tasks orthogonal and equally long."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from xlearn.balance import At, Backward, Balance, tasks
from xlearn.balance.gradients import Gradients
from xlearn.objectives import PhaseContext

# For squared singular values: those below 1e-3 of the largest are zero. Parallel float32 gradients leave about 3e-4.
TOLERANCE = 1e-6


class Aligned(Balance):
    """`sum_t w_t g_t`, `w = sigma V S^-1 V^T 1`, with `G = V S^2 V^T` the Gramian (Senushkin et al., CVPR 2023, Algorithm 1).

    sigma is the smallest singular value in S (`scale=min`, the paper's), their median or their root mean square (`rmse`, the
    authors' code). Singular values below 1e-3 of the largest count as zero and are left out: parallel gradients leave such
    values by rounding. (With torchjd's tolerance, that of float64, rounding would set the length of the step.) A gradient that
    is as short as that beside another is left out too. The paper takes a mean; as a sum, orthogonal or equal gradients of one
    length give the step of `equal`.
    """

    def __init__(
        self, context: PhaseContext, *, scale: Literal["min", "median", "rmse"] = "min", at: At = "parameters"
    ) -> None:
        self.scale = scale
        self.gradients = Gradients(tasks(context, "aligned"), at, context.network)
        self.weights = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        values, vectors = torch.linalg.eigh(gramian)
        kept = values > TOLERANCE * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        squared = {"min": values[0], "median": values.median(), "rmse": values.mean()}[self.scale]
        return vectors @ ((squared / values).sqrt() * vectors.sum(0))
