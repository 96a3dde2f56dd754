"""Random mirror images."""

from dataclasses import replace

import torch

from xlearn.data.augment import pictures
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def flip(batch: Batch, generator: torch.Generator, *, probability: float) -> Batch:
    """Mirror each image left to right with `probability`."""
    if not 0 <= probability <= 1:
        raise Problem(f"augment.flip.probability={probability}: give a share in [0, 1].")
    if (images := pictures(batch)) is None:
        return batch
    chosen = (torch.rand(len(images), generator=generator) < probability).to(images.device)
    mirrored = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    return replace(batch, inputs={**batch.inputs, "image": mirrored})
