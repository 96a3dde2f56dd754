"""Random crops of a padded image."""

from dataclasses import replace

import torch
from torch.nn import functional

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def crop(batch: Batch, generator: torch.Generator, *, padding: int) -> Batch:
    """Pad every side by `padding` black pixels and cut the original size at a uniformly random place."""
    if (images := pictures(batch)) is None:
        return batch
    count, _, height, width = images.shape
    most = min(height, width)
    if not 0 < padding <= most:
        raise Problem(f"augment.crop.padding={padding} does not suit {height} x {width} images. Give 1 to {most}.")
    padded = functional.pad(images, (padding,) * 4)
    # A view of all windows; indexing it copies one window per example.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    places = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    cut = windows[torch.arange(count, device=images.device), :, places[0], places[1]]
    return replace(batch, inputs={**batch.inputs, "image": cut})
