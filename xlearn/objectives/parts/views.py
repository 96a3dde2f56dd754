"""Views of a batch: augmented copies by the phase's `views`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.columns import Inputs, Sequences
from xlearn.data.task import Batch

Augment = Callable[[Batch, torch.Generator], Batch]
# The share of numbers kept in a strong view, for inputs without an augmentation.
KEPT = 0.8


def viewed(batch: Batch, views: Sequence[Augment]) -> Batch:
    """A random view of the batch: changed by each of `views`, with dropout of numbers that have no augmentation, as in
    `strong`. Drawn from torch's global generator, so that two calls return two views. The memo is empty.
    """
    generator = generator_of_views()
    for each in views:
        batch = each(batch, generator)
    return replace(thinned(batch, generator), memo={})


def generator_of_views() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))


def thinned(batch: Batch, generator: torch.Generator) -> Batch:
    """Dropout of numbers in inputs without an augmentation: columns, vectors, and precomputed tokens."""

    def thin(given: Inputs) -> Inputs:
        if isinstance(given, Sequences):
            return Sequences(dropped(given.values, generator), given.mask)
        return dropped(given, generator)

    inputs = {name: thin(given) if thins(batch, name) else given for name, given in batch.inputs.items()}
    return replace(batch, inputs=inputs)


def thins(batch: Batch, name: str) -> bool:
    given = batch.inputs[name]
    return name in batch.encoded or (isinstance(given, Tensor) and given.ndim == 2)


def dropped(values: Tensor, generator: torch.Generator) -> Tensor:
    # NaN, a missing value, times 0 stays NaN.
    return values * ((torch.rand(values.shape, generator=generator) < KEPT) / KEPT).to(values.device, values.dtype)
