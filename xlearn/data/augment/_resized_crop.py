"""Random crops, resized back to the whole image."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def resized_crop(
    batch: Batch, generator: torch.Generator, *, smallest: float, largest: float = 1.0, ratio: float = 4 / 3
) -> Batch:
    """Cut a share `s ~ U[smallest, largest]` of each image's area out of it and resize it bilinearly to the image's size.

    The aspect ratio `r` (width / height) is log-uniform in [1 / ratio, ratio], the sides `sqrt(s r H W)` and `sqrt(s H W / r)`,
    the position uniform within the image. This is the random crop of SimCLR (Chen et al., ICML 2020, appendix A: 0.08 to 1, 3/4
    to 4/3). torchvision's RandomResizedCrop draws s and r again where the crop would not fit, which favours small crops, and
    rounds to whole pixels. Here s keeps its distribution, r is log-uniform among the values of its range that fit (or the
    closest one), and crops begin between pixels too. Crops are only enlarged, so they need no antialiasing.

    Images `[batch, channels, height, width]` become float, still 0..255. Raises `Problem` for `largest` above 1, `smallest`
    outside (0, largest] and `ratio` below 1.
    """
    _check(smallest, largest, ratio)
    if (images := pictures(batch)) is None:
        return batch
    boxes = _boxes(len(images), images.shape[2], images.shape[3], smallest, largest, ratio, generator)
    return replace(batch, inputs={**batch.inputs, "image": resized(images.float(), boxes.to(images.device))})


def resized(images: Tensor, boxes: Tensor) -> Tensor:
    """The contents of `boxes float [batch, 4]` (top, left, height, width, in pixels), as large as the images.

    `images` float `[batch, channels, height, width]`. As in resizing a cut-out image, the box's outermost pixels are repeated
    at its edge; pixels outside of the box are not used.
    """
    height, width = images.shape[-2:]
    top, left, tall, wide = boxes.to(images.dtype).unbind(1)
    grid = torch.empty(len(images), height, width, 2, device=images.device, dtype=images.dtype)
    grid[..., 0] = _places(left, wide, width)[:, None, :]  # x before y, as grid_sample wants it
    grid[..., 1] = _places(top, tall, height)[:, :, None]
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _places(start: Tensor, length: Tensor, size: int) -> Tensor:
    """`[batch, size]`: the positions of the resized pixels along one side, in -1 to 1."""
    centres = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
    edge = (length / 2).clamp_max(0.5)[:, None]
    inside = (centres * length[:, None]).clamp(edge, length[:, None] - edge)
    return (start[:, None] + inside) * (2 / size) - 1


def _boxes(
    count: int, height: int, width: int, smallest: float, largest: float, ratio: float, generator: torch.Generator
) -> Tensor:
    """float64 `[count, 4]`: top, left, height, width."""
    share, shape, down, right = torch.rand(4, count, generator=generator, dtype=torch.float64)
    share = smallest + (largest - smallest) * share
    # A share s fits into the image exactly if its aspect ratio is within a factor of 1 / s of the image's own.
    own, room = math.log(width / height), -share.log()
    low = torch.full_like(room, -math.log(ratio)).clamp(own - room, own + room)
    high = torch.full_like(room, math.log(ratio)).clamp(own - room, own + room)
    # The square root of width / height.
    stretch = ((low + (high - low) * shape) / 2).exp()
    side = (share * height * width).sqrt()
    tall, wide = (side / stretch).clamp_max(height), (side * stretch).clamp_max(width)
    return torch.stack([down * (height - tall), right * (width - wide), tall, wide], dim=1)


def _check(smallest: float, largest: float, ratio: float) -> None:
    if not largest <= 1:
        raise Problem(f"resized_crop.largest={largest}: a crop larger than the image. Give at most 1.")
    if not 0 < smallest <= largest:
        raise Problem(f"resized_crop.smallest={smallest}: give a share above 0 and at most largest={largest}, e.g. 0.2.")
    if not 1 <= ratio < math.inf:
        raise Problem(f"resized_crop.ratio={ratio}: give 1 or more, e.g. 1.33 for crops from 3:4 to 4:3.")
