"""A perceptron on columns of numbers."""

import itertools

import torch
from torch import Tensor, nn

from xlearn.data.modalities.tabular import TabularSpec
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers


class TabularMlp(nn.Module):
    """Linear - ReLU - dropout, once per entry of `widths`, on the values and on indicators of missing values.

    Reads standardised numbers `[batch, columns]`, gives one token `[batch, 1, widths[-1]]`. Its input is
    `[x, m] [batch, 2 * columns]`: where a value is missing (NaN) x is 0, the mean in training, and m is 1.
    """

    def __init__(self, spec: TabularSpec, *, widths: list[int], dropout: float = 0.0) -> None:
        super().__init__()
        need_layers("encoder.tabular", "widths", widths, dropout)
        sizes = [2 * len(spec.columns), *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
            for before, after in itertools.pairwise(sizes)
        )
        self.width = widths[-1]

    def forward(self, values: Tensor) -> Tokens:
        lacking = values.isnan()
        x = torch.cat([values.masked_fill(lacking, 0), lacking.to(values.dtype)], dim=1)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.unsqueeze(1))
