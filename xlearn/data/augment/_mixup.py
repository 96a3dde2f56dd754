"""Mixup."""

from dataclasses import replace

import numpy
import torch
from torch.nn import functional

from xlearn.data.augment import CHANGES_INPUTS, pictures
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declares


@declares(replace(CHANGES_INPUTS, one_task=True, spaces=(Classes,)))
def mixup(batch: Batch, generator: torch.Generator, *, alpha: float) -> Batch:
    """`l x_i + (1 - l) x_j`, the same for one-hot labels, `l ~ Beta(alpha, alpha)` per example (Zhang et al., ICLR 2018).

    j is a random permutation of the examples that have an image; those without keep their labels. Images become float, still
    0..255; labels become `float [batch, classes]`: in a weighted loss an example counts l times as one of its own class and
    1 - l times as one of j's, with the weights of both (see `xlearn.objectives.supervised.means`).
    """
    if not alpha > 0:
        raise Problem(f"augment.mixup.alpha={alpha}: give more than 0, e.g. 0.2.")
    if (images := pictures(batch)) is None:
        return batch
    if others := sorted(batch.inputs.keys() - {"image"}):
        raise Problem(f"augment=mixup mixes images and labels, but the examples have {' and '.join(others)} too. Leave it out.")
    labels = batch.labels
    # torch cannot draw Beta from a given generator; numpy can, seeded from it.
    seed = int(torch.randint(2**62, (), generator=generator))
    share = torch.from_numpy(numpy.random.default_rng(seed).beta(alpha, alpha, len(images))).float().to(images.device)
    there = batch.present.get("image", torch.ones(len(images), dtype=torch.bool)).nonzero().flatten()
    other = torch.arange(len(images), device=images.device)
    other[there] = there[torch.randperm(len(there), generator=generator).to(there.device)]
    if not labels.is_floating_point():
        labels = functional.one_hot(labels, len(batch.space.classes)).float()
    mixed = torch.lerp(images[other].float(), images.float(), share[:, None, None, None])
    return replace(batch, inputs={**batch.inputs, "image": mixed}, labels=torch.lerp(labels[other], labels, share[:, None]))
