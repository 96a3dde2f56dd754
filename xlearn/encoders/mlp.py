"""A perceptron on flattened images."""

import itertools

from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers


class Mlp(nn.Module):
    """Linear - ReLU, once per entry of `widths`.

    Reads images `[batch, channels, height, width]`, gives one token `[batch, 1, widths[-1]]`.
    """

    def __init__(self, spec: ImageSpec, *, widths: list[int], dropout: float = 0.0) -> None:
        super().__init__()
        need_layers("encoder.image", "widths", widths, dropout)
        self.pixels = Pixels()
        sizes = [spec.channels * spec.height * spec.width, *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
            for before, after in itertools.pairwise(sizes)
        )
        self.width = widths[-1]

    def forward(self, images: Tensor) -> Tokens:
        x = self.pixels(images).flatten(1)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.unsqueeze(1))
