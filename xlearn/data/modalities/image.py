"""Images of one size and one number of channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.modalities import Pool
from xlearn.data.task import ImageSpec
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class ImageFormat:
    spec: ImageSpec

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        images = pool.raw.inputs["image"]
        assert isinstance(images, Tensor)
        return adapt(images, self.spec), {}


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> ImageFormat:
    """One format for all tasks: the largest height, width and number of channels, or `size` and `channels` if given."""
    shapes = [images.shape[1:] for pool in pools if isinstance(images := pool.raw.inputs["image"], Tensor)]
    highest = [max(sides) for sides in zip(*shapes, strict=True)]
    size, channels = options["size"], options["channels"]
    return ImageFormat(ImageSpec(channels or highest[0], size or highest[1], size or highest[2]))


def adapt(images: Tensor, spec: ImageSpec) -> Tensor:
    """uint8 images in the format of `spec`: bilinear with antialiasing; grey is repeated, colour becomes luma."""
    if images.shape[1] == 3 and spec.channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # ITU-R 601
        images = torch.cat([(part.float() * luma).sum(1, keepdim=True).round().byte() for part in images.split(4096)])
    elif images.shape[1] == 1 and spec.channels == 3:
        images = images.expand(-1, 3, -1, -1)
    elif images.shape[1] != spec.channels:
        raise Problem(f"image.channels={spec.channels}: images have {images.shape[1]} channels. Give 1 or 3, or null.")
    side = (spec.height, spec.width)
    if images.shape[2:] == side:
        return images.contiguous()
    parts = [
        functional.interpolate(part.contiguous(), side, mode="bilinear", align_corners=False, antialias=True)
        for part in images.split(4096)
    ]
    return torch.cat(parts)
