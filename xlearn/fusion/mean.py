"""The mean of the present modalities."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.fusion.pooling import average, pool_all
from xlearn.fusion.projection import projections, stacked
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem


class Mean(nn.Module):
    """`sum_m present_m y_m / sum_m present_m` with `y_m = P_m x_m`, x_m the mean token of modality m.

    P_m is a linear map to `width`, or the identity when `width` is null; then all modalities need the same width. With `unit`,
    `y_m = sqrt(width) P_m x_m / ||P_m x_m||`: all modalities have the same scale with entries near 1, as after a contrastive
    loss, which aligns directions only.

    `sum_m (widths_m + 1) width` parameters, none when `width` is null. Raises `Problem` for a width below 1, and for different
    widths where `width` is null.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int | None = 64, unit: bool = False) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise Problem(f"fusion.width={width}: give 1 or more, or null for no projection.")
        if width is None and len(set(widths.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sorted(widths.items()))
            raise Problem(
                f"fusion.width=null: fusion=mean cannot join tokens of different widths ({listed}). Set fusion.width=64 or so."
            )
        self.widths = dict(widths)
        self.width = next(iter(widths.values())) if width is None else width
        self.unit = unit
        self.project = nn.ModuleDict() if width is None else projections(widths, width)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        parts = stacked(self.project, vectors) if len(self.project) else torch.stack(list(vectors.values()), dim=1)
        if self.unit:
            # Vectors shorter than 1e-6 are not scaled up: their direction is noise and its gradient huge.
            parts = math.sqrt(self.width) * functional.normalize(parts, dim=2, eps=1e-6)
        return average(parts, present)
