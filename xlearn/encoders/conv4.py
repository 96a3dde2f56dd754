"""Conv-4: the four convolutional blocks of few-shot learning."""

import itertools
from typing import Literal

from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers


class Conv4(nn.Module):
    """Blocks of conv 3 x 3 with padding 1, batch normalisation, ReLU, 2 x 2 maximum pooling, one for each of `widths`, and a
    flattened output (Vinyals et al., Matching Networks, NIPS 2016, section 4.1: four of 64, for Omniglot at 28 x 28).

    `normalisation: none` leaves the batch normalisation out. Snell et al. (NIPS 2017) use the same network; Finn et al. (ICML
    2017) have strides in place of the pooling for Omniglot, and 32 channels for photographs. A block has no pooling where a
    side is below 2. Pooling comes before the ReLU: they commute, and the ReLU then has a quarter of the activations.

    Reads images `[batch, channels, height, width]`, gives one token `[batch, 1, width]`,
    `width = widths[-1] * height' * width'` (64 for 28 x 28 images). Raises `Problem` where `widths` is empty or one of them is
    below 1.
    """

    def __init__(self, spec: ImageSpec, *, widths: list[int], normalisation: Literal["batch", "none"] = "batch") -> None:
        super().__init__()
        need_layers("encoder.image", "widths", widths)
        self.pixels = Pixels()
        stages: list[nn.Module] = []
        height, width = spec.height, spec.width
        for before, after in itertools.pairwise([spec.channels, *widths]):
            stage: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1)]
            if normalisation == "batch":
                stage.append(nn.BatchNorm2d(after))
            if min(height, width) >= 2:
                stage.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            stages.append(nn.Sequential(*stage, nn.ReLU()))
        self.blocks = nn.ModuleList(stages)
        self.width = widths[-1] * height * width

    def forward(self, images: Tensor) -> Tokens:
        x = self.pixels(images)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.flatten(1).unsqueeze(1))
