"""Cutout."""

from dataclasses import replace

import torch

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def cutout(batch: Batch, generator: torch.Generator, *, size: int) -> Batch:
    """Blacken a square of `size` pixels around a uniformly random centre (DeVries & Taylor, 2017); it may exceed the image."""
    if (images := pictures(batch)) is None:
        return batch
    count, _, height, width = images.shape
    most = 2 * min(height, width) - 1
    if not 0 < size <= most:
        raise Problem(f"augment.cutout.size={size} does not suit {height} x {width} images. Give 1 to {most}.")
    top = torch.randint(height, (count, 1), generator=generator).to(images.device) - size // 2
    left = torch.randint(width, (count, 1), generator=generator).to(images.device) - size // 2
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    hidden = ((rows >= top) & (rows < top + size))[:, :, None] & ((columns >= left) & (columns < left + size))[:, None, :]
    return replace(batch, inputs={**batch.inputs, "image": images.masked_fill(hidden[:, None], 0)})
