"""Late concatenation: the strong baseline of every fusion table."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool, pool_all
from xlearn.networks.network import Tokens


class Concat(nn.Module):
    """`[mean of modality a, mean of modality b, ...]`, modalities in alphabetical order, a missing one as zeros.

    No parameters; `width` is the sum of the widths.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.width = sum(widths.values())

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        if len(self.widths) == 1:
            return pool(tokens[next(iter(self.widths))])[0]
        return torch.cat(list(pool_all(tokens, self.widths)[0].values()), dim=1)
