"""Attention over the modalities: learned weights for each example."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all, shares, total
from xlearn.fusion.projection import projections, stacked
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Attention(nn.Module):
    """`sum_m a_m P_m x_m` with `a = softmax(W [x_1, ..., x_M] + w)`, one weight per modality and example.

    x_m is the mean token of modality m, zeros where it is missing. A missing modality has the weight 0, which the others share
    (Hori et al., ICCV 2017, with a linear score that reads all modalities).

    `sum_m (widths_m + 1) width + (sum_m widths_m + 1) M` parameters; a single modality has no weights to learn. Raises
    `Problem` for a width below 1.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int) -> None:
        super().__init__()
        need_sizes("fusion", width=width)
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width)
        self.score = nn.Linear(sum(widths.values()), len(widths)) if len(widths) > 1 else None

    def weights(self, vectors: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """`a`, `[batch, modalities]` in alphabetical order; rows sum to 1, or to 0 where no modality is present."""
        if self.score is None:
            return present.to(next(iter(vectors.values())).dtype)
        return shares(self.score(torch.cat(list(vectors.values()), dim=1)), present)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        return total(stacked(self.project, vectors), self.weights(vectors, present))
