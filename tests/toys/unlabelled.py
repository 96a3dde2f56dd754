"""Tasks of which some or all examples have no label, and tasks with names of rows."""

from dataclasses import replace

import torch

from toys.tasks import blobs
from xlearn.data.tasks import TEST, Raw


def partly(*, labelled: float = 0.0, shift: float = 50.0) -> Raw:
    """The bright squares; that share of the rows has a label. Those of the others are wrong: reading one would show."""
    raw = blobs(shift=shift)
    count = len(raw.labels)
    known = torch.rand(count, generator=torch.Generator().manual_seed(1)) < labelled
    names = [f"=squares/{row}.png" for row in range(count)]
    return replace(raw, labels=torch.where(known, raw.labels, 2 - raw.labels), labelled=known, names=names)


def lacking(*, shift: float = 0.0) -> Raw:
    """An official test split without an example of class c1."""
    raw = blobs(shift=shift)
    official = ((torch.arange(len(raw.labels)) % 4 == 0) & (raw.labels != 1)).to(torch.int8) * TEST
    return replace(raw, official=official)
