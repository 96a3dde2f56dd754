"""Aligned-MTL: the gradients are turned and stretched until they are orthogonal and of one length."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from xlearn.balance import Backward, tasks
from xlearn.balance.gradients import At, Gradients
from xlearn.objectives import PhaseContext

# In squares: singular values below 1e-3 of the largest are zero. Float32 gradients that are parallel leave about 3e-4.
TOLERANCE = 1e-6


class Aligned:
    """`sum_t w_t g_t`, `w = sigma V S^-1 V^T 1`, with `G = V S^2 V^T` the Gramian (Senushkin et al., CVPR 2023,
    Algorithm 1).

    sigma is the smallest singular value in S (`scale=min`, the paper's), their median or their root mean square (`rmse`, the
    authors' code). Singular values that are zero are left out: below 1e-3 of the largest, which is the rounding of parallel
    gradients (torchjd's tolerance is that of float64, and rounding would then set the length of the step). A gradient
    as short as that beside another is left out with them. The paper's is a mean; as a sum, orthogonal or equal gradients
    of one length give the step of `equal`.
    """

    def __init__(
        self, context: PhaseContext, *, scale: Literal["min", "median", "rmse"] = "min", at: At = "parameters"
    ) -> None:
        self.scale = scale
        self.gradients = Gradients(tasks(context, "aligned"), at, context.network)
        self.weights: dict[str, Tensor] = {}

    def __call__(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        self.weights = self.gradients(losses, backward, self._weigh)

    def _weigh(self, gramian: Tensor, roles: Sequence[str]) -> Tensor:
        values, vectors = torch.linalg.eigh(gramian)
        kept = values > TOLERANCE * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        squared = {"min": values[0], "median": values.median(), "rmse": values.mean()}[self.scale]
        return vectors @ ((squared / values).sqrt() * vectors.sum(0))
