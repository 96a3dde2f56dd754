"""The small convolutional network of the digit experiments."""

import itertools
from typing import Literal

from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers


class Cnn(nn.Module):
    """conv 32 - pool - conv 64 - pool - conv 64 - dense 64, all 3 x 3 with padding 1.

    `normalisation: batch` adds a batch normalisation after every convolution. Pooling comes before the ReLU: they commute, and
    the ReLU then has a quarter of the activations. Reads images `[batch, channels, height, width]`, gives one token
    `[batch, 1, dense]`.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        widths: list[int],
        dense: int,
        dropout: float = 0.0,
        normalisation: Literal["none", "batch"] = "none",
    ) -> None:
        super().__init__()
        need_layers("encoder.image", "widths", [*widths, dense], dropout)
        self.pixels = Pixels()
        channels = [spec.channels, *widths]
        stages: list[nn.Module] = []
        height, width = spec.height, spec.width
        for position, (before, after) in enumerate(itertools.pairwise(channels)):
            stage: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1)]
            if normalisation == "batch":
                stage.append(nn.BatchNorm2d(after))
            if position < len(widths) - 1 and min(height, width) >= 2:
                stage.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            stages.append(nn.Sequential(*stage, nn.ReLU()))
        flat = channels[-1] * height * width
        stages.append(nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(flat, dense), nn.ReLU()))
        self.blocks = nn.ModuleList(stages)
        self.width = dense

    def forward(self, images: Tensor) -> Tokens:
        x = self.pixels(images)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.unsqueeze(1))
