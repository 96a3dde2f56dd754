"""A perceptron on the concatenated modalities."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Mlp(nn.Module):
    """`h = relu(A [x_1, ..., x_M] + a)`, result `relu(B h + b)`, each followed by dropout (Ngiam et al., ICML 2011).

    x_m is the mean token of modality m, zeros where it is missing; modalities in alphabetical order. The result has its ReLU
    too: without it the linear head would make the second layer superfluous.

    `(sum_m widths_m + 1) hidden + (hidden + 1) width` parameters. Raises `Problem` for a width or hidden below 1 and a dropout
    outside [0, 1).
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        need_sizes("fusion", dropout, width=width, hidden=hidden)
        self.widths = dict(widths)
        self.width = width
        sizes = ((sum(widths.values()), hidden), (hidden, width))
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)) for before, after in sizes)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        return self.layers(torch.cat(list(pool_all(tokens, self.widths)[0].values()), dim=1))
