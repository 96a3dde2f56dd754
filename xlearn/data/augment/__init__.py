"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawing anew for every example.

A batch without the modality that one acts on is returned as it is, the same object.

What the rest of a phase must know of one, it declares: `mixes_labels`, that labels become those of two examples;
`keeps_inputs`, that it changes which modalities are present and nothing else, so that frozen encoders may run before it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import lazy_loader as lazy
from torch import Tensor

from xlearn.data.task import Batch

Augment = TypeVar("Augment", bound=Callable[..., Batch])


def declares(fact: str) -> Callable[[Augment], Augment]:
    """A decorator of an augmentation of which `fact` holds."""

    def declared(augment: Augment) -> Augment:
        vars(augment)[fact] = True
        return augment

    return declared


def holds(fact: str, augment: Any) -> bool:
    """Whether an augmentation, or the one that a partial is of, declares the fact."""
    return bool(getattr(getattr(augment, "func", augment), fact, False))


def pictures(batch: Batch) -> Tensor | None:
    """The images of a batch `[batch, channels, height, width]`; None where it has none, or features in their place."""
    found = batch.inputs.get("image")
    return found if isinstance(found, Tensor) and found.ndim == 4 else None


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_brightness": ["brightness"],
        "_crop": ["crop"],
        "_cutout": ["cutout"],
        "_flip": ["flip"],
        "_mixup": ["mixup"],
        "_modality_dropout": ["modality_dropout"],
        "_noise": ["noise"],
        "_resized_crop": ["resized_crop"],
        "_rotate": ["rotate"],
        "_span_masking": ["span_masking"],
        "_spec_augment": ["spec_augment"],
        "_time_shift": ["time_shift"],
        "_token_dropout": ["token_dropout"],
    },
)
