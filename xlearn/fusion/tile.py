"""Tiling: each token of one modality, concatenated with the vectors of the others."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion import chosen
from xlearn.fusion.pooling import complete, never_empty, pool, pool_all
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Tile(nn.Module):
    """`mean_t relu(B relu(A [x_at, x_b, ..., x_z] + a) + b)` over the valid tokens t of the modality `along`.

    x_at is token t of `along` (null: the alphabetically first modality); x_b ... x_z are the mean tokens of the others in
    alphabetical order, the same for every t ("tiled"), zeros where missing. Dropout follows each ReLU. An example without
    `along` has one token of zeros in its place, so the others still count. Reed et al. (ICML 2016) join a text's vector with
    the grid of an image's features in this way.

    `(sum_m widths_m + 1) width + (width + 1) width` parameters. Raises `Problem` for a width below 1, a dropout outside [0, 1)
    and an unknown modality.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, along: str | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width)
        self.along = chosen("along", along, widths)
        self.widths = dict(widths)
        self.width = width
        sizes = ((sum(widths.values()), width), (width, width))
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)) for before, after in sizes)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        values, mask = complete(tokens, self.widths)[self.along]
        vectors = pool_all(tokens, self.widths)[0]
        others = [vector.unsqueeze(1).expand(-1, values.shape[1], -1) for name, vector in vectors.items() if name != self.along]
        return pool(Tokens(self.layers(torch.cat([values, *others], dim=2)), never_empty(mask)))[0]
