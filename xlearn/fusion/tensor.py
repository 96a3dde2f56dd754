"""Tensor fusion: all products of features of different modalities."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all
from xlearn.fusion.projection import projections
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes
from xlearn.runtime.errors import Problem

LIMIT = 65_536


class TensorProduct(nn.Module):
    """`W vec([1, y_1] (x) ... (x) [1, y_M])` with `y_m = P_m x_m`: the tensor fusion network (Zadeh et al., EMNLP 2017).

    x_m is the mean token of modality m, P_m a linear map with bias to `rank` features (null: `y_m = x_m`, as in the paper). A
    missing modality is `[1, 0, ..., 0]`, which leaves the terms of the product without it. W needs no bias, because the
    product's first entry is 1. Modalities in alphabetical order, the last one fastest; dropout on the product.

    `sum_m (widths_m + 1) rank + (rank + 1)^M width` parameters; with `rank` null `width prod_m (widths_m + 1)`. Raises
    `Problem` for a width or rank below 1, a dropout outside [0, 1), and a product above 65,536 entries.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, rank: int | None, dropout: float = 0.0) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width, rank=rank)
        size = math.prod((rank or each) + 1 for each in widths.values())
        if size > LIMIT:
            listed = ", ".join(f"{name} {each}" for name, each in sorted(widths.items()))
            largest = int((LIMIT + 0.5) ** (1 / len(widths))) - 1
            rank_fix = f"Give a rank of at most {largest}, or use" if largest else "Use"
            raise Problem(
                f"fusion.rank={'null' if rank is None else rank}: the product of {len(widths)} modalities ({listed}) has "
                f"{size:,} entries, above {LIMIT:,}. {rank_fix} fusion=low_rank."
            )
        self.widths = dict(widths)
        self.width = width
        self.project = nn.ModuleDict() if rank is None else projections(widths, rank)
        self.dropout = nn.Dropout(dropout)
        self.join = nn.Linear(size, width, bias=False)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        product = present.new_ones(len(present), 1, dtype=next(iter(vectors.values())).dtype)
        for position, (name, vector) in enumerate(vectors.items()):
            if len(self.project):
                vector = self.project[name](vector) * present[:, [position]]
            extended = torch.cat([torch.ones_like(vector[:, :1]), vector], dim=1)
            product = (product.unsqueeze(2) * extended.unsqueeze(1)).flatten(1)
        return self.join(self.dropout(product))
