"""Factorized bilinear pooling."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.fusion.pooling import pool_all
from xlearn.fusion.projection import projections
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Bilinear(nn.Module):
    """MFB (Yu et al., ICCV 2017): `z_o = sum_k prod_m (U_m x_m)_(o, k)`, signed square root, divided by its L2 length.

    x_m is the mean token of modality m and U_m a linear map with bias (as in the authors' code) to `width` groups of `factors`
    features, neighbours forming a group; k runs over a group. Dropout on the product, before the sum. A missing modality
    contributes the factor 1: the product of the others remains, or a constant without any modality. The root is
    `z / sqrt(|z| + 1e-8)`, with a finite slope at 0. The result has length 1.

    `sum_m (widths_m + 1) width factors` parameters. Raises `Problem` for a width or factors below 1 and a dropout outside [0,
    1).
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, factors: int, dropout: float = 0.0) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width, factors=factors)
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width * factors)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        product = present.new_ones((), dtype=torch.float32)
        for position, (name, vector) in enumerate(vectors.items()):
            product = product * self.project[name](vector).masked_fill(~present[:, [position]], 1)
        pooled = self.dropout(product).unflatten(1, (self.width, -1)).sum(2)
        return functional.normalize(pooled / torch.sqrt(pooled.abs() + 1e-8), dim=1)
