"""Late concatenation: the strong baseline of every fusion table."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool
from xlearn.network import Tokens


class Concat(nn.Module):
    """`[mean of modality a, mean of modality b, ...]`, modalities in alphabetical order, a missing one as zeros.

    No parameters; `width` is the sum of the widths.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.modalities = sorted(widths)
        self.widths = dict(widths)
        self.width = sum(widths.values())

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        if len(self.modalities) == 1:
            return pool(tokens[self.modalities[0]])[0]
        pooled = {name: pool(given)[0] for name, given in tokens.items()}
        like = next(iter(pooled.values()))
        parts = [pooled.get(name, like.new_zeros(len(like), self.widths[name])) for name in self.modalities]
        return torch.cat(parts, dim=1)
