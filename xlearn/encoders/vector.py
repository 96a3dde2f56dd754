"""One token per example: precomputed features, or the pooled tokens of a sequence."""

from typing import Literal

from torch import Tensor, nn

from xlearn.data.modalities.vector import VectorSpec
from xlearn.networks.network import Tokens


class Vector(nn.Module):
    """Precomputed features of a frozen network: `float [batch, width]` to one token `[batch, 1, width]`. No parameters."""

    def __init__(self, spec: VectorSpec) -> None:
        super().__init__()
        self.width = spec.width

    def forward(self, features: Tensor) -> Tokens:
        return Tokens(features.float().unsqueeze(1))


def pooled(values: Tensor, mask: Tensor, pool: Literal["mean", "cls", "none"]) -> Tokens:
    """Tokens of a sequence `values [batch, length, width]`, `mask bool [batch, length]`, at least one token long.

    `mean`: `sum_i mask_i value_i / max(sum_i mask_i, 1)`, one token; `cls`: the first token; `none`: all of them. An example
    with an all-False mask has one in the result too.
    """
    if pool == "none":
        return Tokens(values, mask)
    if pool == "cls":
        return Tokens(values[:, :1], mask.any(1, keepdim=True))
    # Filled, not multiplied: zero times an infinite number is not zero.
    total = values.masked_fill(~mask.unsqueeze(-1), 0).sum(1, keepdim=True)
    return Tokens(total / mask.sum(1).clamp_min(1)[:, None, None], mask.any(1, keepdim=True))
