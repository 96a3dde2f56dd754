"""Views of a batch: augmented copies by the phase's `views`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from xlearn.data.task import Batch

Augment = Callable[[Batch, torch.Generator], Batch]
# The share of an input's parts (tokens, numbers) that a strong view keeps, where no augmentation makes one.
KEPT = 0.8


def viewed(batch: Batch, views: Sequence[Augment]) -> Batch:
    """A random view of the batch: changed by each of `views`; of modalities without an augmentation parts are hidden, as in
    `strong`. Drawn from torch's global generator, so that two calls return two views. The memo is empty.
    """
    generator = generator_of_views()
    for each in views:
        batch = each(batch, generator)
    return replace(with_hidden_parts(batch, generator), memo={})


def generator_of_views() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))


def with_hidden_parts(batch: Batch, generator: torch.Generator, augmented: bool = False) -> Batch:
    """Parts of inputs hidden, in modalities without augmentations (columns, vectors, precomputed tokens: dropout), or in those
    with them, where `augmented` (texts: unknown tokens). The same batch if nothing in it can be hidden.
    """
    inputs = dict(batch.inputs)
    for name, given in batch.inputs.items():
        form = batch.form(name)
        if form.hide is not None and form.augmented == augmented:
            inputs[name] = form.hide(given, 1 - KEPT, generator)
    return batch if all(inputs[name] is given for name, given in batch.inputs.items()) else replace(batch, inputs=inputs)
