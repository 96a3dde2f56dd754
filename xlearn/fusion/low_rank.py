"""Low-rank tensor fusion: tensor fusion without building the tensor."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class LowRank(nn.Module):
    """`sum_r w_r prod_m ([1, x_m] W_m^r) + b`: low-rank multimodal fusion (Liu et al., ACL 2018).

    It equals tensor fusion with the weight tensor `sum_r w_r W_1^r (x) ... (x) W_M^r`, in time linear in M. x_m is the mean
    token of modality m; a missing one is `[1, 0, ..., 0]`. `factor.<modality>` is `[rank, widths_m + 1, width]`. W_m^r starts
    normal with variance 1/2 in the row of the constant and 1 / (2 widths_m) elsewhere, w_r at `1 / sqrt(rank)`, b at 0: for
    inputs of variance 1 the mean square of every factor, and hence of the result, is 1 for any number of modalities (1/2 of it
    for each missing one).

    `rank width sum_m (widths_m + 1) + rank + width` parameters. Raises `Problem` for a width or rank below 1.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, rank: int) -> None:
        super().__init__()
        need_sizes("fusion", width=width, rank=rank)
        self.widths = dict(widths)
        self.width = width
        self.factor = nn.ParameterDict()
        for name in sorted(widths):
            factor = torch.randn(rank, widths[name] + 1, width) * math.sqrt(0.5)
            factor[:, 1:] /= math.sqrt(widths[name])
            self.factor[name] = nn.Parameter(factor)
        self.weight = nn.Parameter(torch.full((rank,), 1 / math.sqrt(rank)))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        product = self.weight[:, None]
        for name, vector in pool_all(tokens, self.widths)[0].items():
            extended = torch.cat([torch.ones_like(vector[:, :1]), vector], dim=1)
            product = product * torch.einsum("bi,riw->brw", extended, self.factor[name])
        return product.sum(1) + self.bias
