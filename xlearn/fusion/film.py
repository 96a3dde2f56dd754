"""FiLM: one modality, scaled and shifted by the others."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion import chosen
from xlearn.fusion.pooling import complete, never_empty, pool, pool_all
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Film(nn.Module):
    """`mean_t relu((1 + gamma) * (P x_t) + beta)` over the valid tokens x_t of the modality `of`; FiLM (Perez, AAAI 2018).

    `[gamma, beta] = C [x_b, ..., x_z]`, with the mean tokens of the other modalities in alphabetical order, zeros where
    missing. C has no bias and starts at zero: at the start only the modality `of` counts, and always so for an example without
    the others. For an example without `of` (null: the alphabetically first modality), x is one token of zeros.

    `(widths_of + 1) width + 2 width sum_(m != of) widths_m` parameters. Raises `Problem` for a width below 1 and an unknown
    modality.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, of: str | None = None) -> None:
        super().__init__()
        need_sizes("fusion", width=width)
        self.of = chosen("of", of, widths)
        self.widths = dict(widths)
        self.width = width
        self.project = nn.Linear(widths[self.of], width)
        others = sum(widths.values()) - widths[self.of]
        self.condition = nn.Linear(others, 2 * width, bias=False) if others else None
        if self.condition is not None:
            nn.init.zeros_(self.condition.weight)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        values, mask = complete(tokens, self.widths)[self.of]
        hidden = self.project(values)
        if self.condition is not None:
            others = [vector for name, vector in pool_all(tokens, self.widths)[0].items() if name != self.of]
            gamma, beta = self.condition(torch.cat(others, dim=1)).unsqueeze(1).chunk(2, dim=2)
            hidden = (1 + gamma) * hidden + beta
        return pool(Tokens(torch.relu(hidden), never_empty(mask)))[0]
