"""Dense layers that tasks and modalities share."""

import itertools
from typing import Literal

from torch import Tensor, nn

from xlearn.networks.sizes import need_layers


class MlpTrunk(nn.Module):
    """`h_l = dropout(relu(W_l h_{l-1} + b_l))`, one layer per width; `normalisation: batch` normalises before the ReLU.

    It belongs to no modality, so it transfers between networks of different modalities if their fusions have the same width.
    Raises `Problem` for widths below 1 and a dropout outside [0, 1).
    """

    def __init__(
        self, width: int, *, widths: list[int], dropout: float = 0.0, normalisation: Literal["none", "batch"] = "none"
    ) -> None:
        super().__init__()
        need_layers("trunk", "widths", widths, dropout)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(before, after),
                *([nn.BatchNorm1d(after)] if normalisation == "batch" else []),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for before, after in itertools.pairwise([width, *widths])
        )
        self.width = widths[-1]

    def forward(self, fused: Tensor) -> Tensor:
        for layer in self.layers:
            fused = layer(fused)
        return fused
