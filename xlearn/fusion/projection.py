"""The first step of most fusions: every modality to one width."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def projections(widths: Mapping[str, int], width: int) -> nn.ModuleDict:
    """`P_m`, a linear map with bias per modality, made in alphabetical order: `sum_m (widths_m + 1) width` parameters."""
    return nn.ModuleDict({name: nn.Linear(widths[name], width) for name in sorted(widths)})


def stacked(project: nn.ModuleDict, vectors: Mapping[str, Tensor]) -> Tensor:
    """`P_m x_m` of every modality, `[batch, modalities, width]`."""
    return torch.stack([project[name](vector) for name, vector in vectors.items()], dim=1)
