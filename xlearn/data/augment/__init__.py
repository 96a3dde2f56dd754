"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawn anew for every example.

An augmentation returns a batch without its modality unchanged (the same object).

It declares the facts that its phase must know: `mixes_labels` (labels become mixtures of two examples' labels), `keeps_inputs`
(it only changes which modalities are present, so that frozen encoders may run before it).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import lazy_loader as lazy
from torch import Tensor

from xlearn.data.task import Batch

Augment = TypeVar("Augment", bound=Callable[..., Batch])


def declares(fact: str) -> Callable[[Augment], Augment]:
    """A decorator that declares `fact` of an augmentation."""

    def declared(augment: Augment) -> Augment:
        vars(augment)[fact] = True
        return augment

    return declared


def holds(fact: str, augment: Any) -> bool:
    """Whether an augmentation, or the function of a partial, declares the fact."""
    return bool(getattr(getattr(augment, "func", augment), fact, False))


def pictures(batch: Batch) -> Tensor | None:
    """The images of a batch `[batch, channels, height, width]`; None without images, and where features replace them."""
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
