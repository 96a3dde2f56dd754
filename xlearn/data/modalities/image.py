"""Images of one size and one number of channels, and the patches that masked autoencoders reconstruct."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.columns import Column, Inputs
from xlearn.data.modalities import Mixture, Modality, Pool
from xlearn.data.modalities.pieces import Cut, Noise, PieceOptions
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class ImageSpec(Modality):
    """Images as `uint8 [n, channels, height, width]`."""

    channels: int
    height: int
    width: int

    noise_unit = "of the range of a pixel"
    any_size = True
    augmented = True
    reads = ("size",)

    @property
    def learned(self) -> bool:
        return False

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "ImageFormat":
        return fit(pools, options)

    def mix(self, one: Tensor, other: Tensor, mixture: Mixture) -> Tensor:
        return mixture(one, other)

    def noise(self, values: Tensor, level: float, generator: torch.Generator) -> Tensor:
        """Gaussian noise with standard deviation `level * 255`, clamped to 0..255."""
        drawn = torch.randn(values.shape, generator=generator) * (level * 255)
        return (values + drawn).round().clamp(0, 255).byte()

    def pieces(self, columns: Sequence[Column], options: PieceOptions) -> "Patches":
        """Patches; by default a seventh of the shorter side, at least 2. Raises `Problem` for one that is larger than it."""
        side = min(self.height, self.width)
        patch = min(max(side // 7, 2), side) if options.patch is None else options.patch
        if patch > side:
            raise Problem(
                f"{options.method}: patch={patch} does not fit {self.height} x {self.width} images. Give 1 to {side}."
            )
        return Patches(self, patch)

    def turns(self, method: str, task: str) -> Callable[[Tensor], Tensor]:
        """Raises `Problem`, with the names of the method and the task, for images that are not square."""
        if self.height != self.width:
            raise Problem(
                f"{method} needs square images, but those of {task} are {self.height} x {self.width}. Set image.size, "
                "e.g. to 32."
            )
        return quarter_turns


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


def quarter_turns(images: Tensor) -> Tensor:
    """Square images `[4 batch, channels, side, side]`: turned by 0, 90, 180 and 270 degrees, counterclockwise."""
    return torch.cat([images.rot90(quarter, (2, 3)) for quarter in range(4)])


@dataclass(frozen=True)
class Patches:
    """Squares of `patch` pixels a side, row by row from the top left, as `pixel / 127.5 - 1`.

    Strips narrower than a patch at the right and at the bottom are never masked or reconstructed. Masked patches are filled
    with the mean colour of the batch's images with a masked patch.
    """

    spec: ImageSpec
    patch: int

    @property
    def rows(self) -> int:
        return self.spec.height // self.patch

    @property
    def columns(self) -> int:
        return self.spec.width // self.patch

    @property
    def places(self) -> int:
        return self.rows * self.columns

    @property
    def size(self) -> int:
        return self.spec.channels * self.patch**2

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Tensor)
        whole = given[:, :, : self.rows * self.patch, : self.columns * self.patch].float() / 127.5 - 1
        squares = whole.unflatten(3, (self.columns, self.patch)).unflatten(2, (self.rows, self.patch))
        content = squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return Cut(content, torch.ones_like(content, dtype=torch.bool))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Tensor)
        squares = hidden.unflatten(1, (self.rows, self.columns))
        pixels = squares.repeat_interleave(self.patch, 1).repeat_interleave(self.patch, 2)
        pixels = functional.pad(pixels, (0, given.shape[3] - pixels.shape[2], 0, given.shape[2] - pixels.shape[1]))
        some = hidden.any(1)
        mean = (given.float().mean((2, 3)) * some[:, None]).sum(0) / some.sum().clamp_min(1)
        return torch.where(pixels[:, None], mean.round().to(given.dtype)[:, None, None], given)

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        """N(0, (255 deviation)^2), clamped to 0 to 255."""
        assert isinstance(given, Tensor)
        added = noise.deviation * torch.randn(given.shape).to(given.device)
        return (given + 255 * added).clamp(0, 255)
