"""The mean of the modalities that are there."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.errors import Problem
from xlearn.fusion.pooling import pool
from xlearn.network import Tokens


class Mean(nn.Module):
    """`sum_m present_m P_m x_m / sum_m present_m`, with x_m the mean token of modality m.

    P_m is a linear map to `width`, or the identity when `width` is null; then all modalities need the same width.
    Raises `Problem` for a width below 1, and for different widths where `width` is null.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int | None = None) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise Problem(f"fusion.width={width}: give 1 or more, or null for tokens as they are.")
        if width is None and len(set(widths.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sorted(widths.items()))
            raise Problem(f"fusion=mean cannot join tokens of different widths ({listed}). Set fusion.width, e.g. to 64.")
        self.modalities = sorted(widths)
        self.width = next(iter(widths.values())) if width is None else width
        projected = [] if width is None else self.modalities
        self.project = nn.ModuleDict({name: nn.Linear(widths[name], self.width) for name in projected})

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        total, count = None, None
        for name in self.modalities:
            if name not in tokens:
                continue
            pooled, present = pool(tokens[name])
            if name in self.project:
                pooled = self.project[name](pooled)
            weight = pooled.new_ones(len(pooled), 1) if present is None else present.to(pooled.dtype).unsqueeze(1)
            total = pooled * weight if total is None else total + pooled * weight
            count = weight if count is None else count + weight
        assert total is not None and count is not None
        return total / torch.clamp_min(count, 1)
