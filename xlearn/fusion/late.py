"""Late fusion: the mean of separate decisions, one per modality."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all
from xlearn.fusion.projection import projections
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Late(nn.Module):
    """`[y_1 / n, ..., y_M / n]`, with n the number of modalities an example has, and zeros for the missing ones.

    A linear head `W = [W_1, ..., W_M]`, b on it gives exactly `mean over present m of (W_m y_m) + b`: logits per modality,
    averaged. `y_m = x_m`, the mean token of modality m, or `relu(P_m x_m)` of `hidden` features. Modalities in alphabetical
    order. `width` is the sum of the widths, or `hidden` times their number.

    No parameters, or `sum_m (widths_m + 1) hidden`. Raises `Problem` for a hidden below 1.
    """

    def __init__(self, widths: Mapping[str, int], *, hidden: int | None = None) -> None:
        super().__init__()
        need_sizes("fusion", hidden=hidden)
        self.widths = dict(widths)
        self.width = sum(hidden or each for each in widths.values())
        self.project = nn.ModuleDict() if hidden is None else projections(widths, hidden)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        if len(self.project):
            vectors = {name: torch.relu(self.project[name](vector)) for name, vector in vectors.items()}
        count = present.sum(1, keepdim=True).clamp_min(1)
        parts = [vector * present[:, [position]] / count for position, vector in enumerate(vectors.values())]
        return torch.cat(parts, dim=1)
