"""Random rotations."""

from dataclasses import replace

import torch
from torch.nn import functional

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def rotate(batch: Batch, generator: torch.Generator, *, degrees: float) -> Batch:
    """Rotate each image about its centre by an angle uniform in [-degrees, degrees]; bilinear, black outside.

    Images become float, still 0..255.
    """
    if not 0 <= degrees <= 180:
        raise Problem(f"augment.rotate.degrees={degrees}: give 0 to 180.")
    if (images := pictures(batch)) is None:
        return batch
    height, width = images.shape[-2:]
    angle = (torch.rand(len(images), generator=generator) * 2 - 1).to(images.device) * torch.pi * degrees / 180
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    # Coordinates run from -1 to 1 on both sides, so a rotation of a rectangle carries the ratio of its sides.
    down, right = (((torch.arange(side, device=images.device) + 0.5) * 2 / side - 1) for side in (height, width))
    grid = torch.empty(len(images), height, width, 2, device=images.device)
    torch.add(cosine * right, -sine * (height / width) * down[:, None], out=grid[..., 0])
    torch.add(sine * (width / height) * right, cosine * down[:, None], out=grid[..., 1])
    turned = functional.grid_sample(images.float(), grid, align_corners=False)
    return replace(batch, inputs={**batch.inputs, "image": turned})
