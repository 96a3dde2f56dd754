"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawing anew for every example.

A batch without the modality that one acts on is returned as it is, the same object.
"""

import lazy_loader as lazy
from torch import Tensor

from xlearn.data.task import Batch


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
