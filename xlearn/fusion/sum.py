"""The sum of the present modalities."""

from collections.abc import Mapping

from torch import Tensor, nn

from xlearn.fusion.pooling import pool_all, total
from xlearn.fusion.projection import projections, stacked
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes


class Sum(nn.Module):
    """`sum_m present_m P_m x_m`, with x_m the mean token of modality m and P_m a linear map with bias to `width`.

    Unlike the mean it grows with the number of modalities: every one adds its evidence, and a missing one adds none.
    `sum_m (widths_m + 1) width` parameters. Raises `Problem` for a width below 1.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int) -> None:
        super().__init__()
        need_sizes("fusion", width=width)
        self.widths = dict(widths)
        self.width = width
        self.project = projections(widths, width)

    def forward(self, tokens: Mapping[str, Tokens]) -> Tensor:
        vectors, present = pool_all(tokens, self.widths)
        return total(stacked(self.project, vectors), present)
