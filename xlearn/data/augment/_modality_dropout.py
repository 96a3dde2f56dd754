"""Modality dropout."""

from dataclasses import replace

import torch
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, declares


@declares(NO_LABELS)
def modality_dropout(batch: Batch, generator: torch.Generator, *, probability: float) -> Batch:
    """Hide each modality of each example with `probability`, but never its last one (ModDrop, Neverova et al., TPAMI 2016).

    The modalities of an example are dropped independently of each other. Where that would leave none, one of them, chosen
    uniformly, stays; so `probability=1` keeps exactly one. Only `Batch.present` changes. A batch of a single modality is
    returned unchanged.
    """
    if not 0 <= probability <= 1:
        raise Problem(f"augment.modality_dropout.probability={probability}: give a share in [0, 1], e.g. 0.2.")
    names = sorted(batch.inputs)
    if len(names) < 2:
        return batch
    everywhere = torch.ones_like(batch.labels if batch.labels.ndim == 1 else batch.labels[:, 0], dtype=torch.bool)
    present = torch.stack([batch.present.get(name, everywhere) for name in names], dim=1)
    draws, order = (torch.rand(2, *present.shape, generator=generator)).to(present.device)
    kept = present & (draws >= probability)
    survivor = functional.one_hot(order.masked_fill(~present, -1).argmax(1), len(names)).bool()
    kept |= survivor & present & ~kept.any(1, keepdim=True)
    return replace(batch, present={name: kept[:, position] for position, name in enumerate(names)})
