"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawn anew for every example.

An augmentation returns a batch without its modality unchanged (the same object).

It declares its needs (`xlearn.runtime.needs`) where they differ from those of one that changes inputs: mixup needs labelled
examples of one task; modality dropout only changes which modalities are present, so that frozen encoders may run before it.
"""

from dataclasses import replace

import lazy_loader as lazy
from torch import Tensor

from xlearn.data.columns import Inputs
from xlearn.data.task import Batch
from xlearn.runtime.needs import NO_LABELS

# An augmentation that changes inputs: the outputs of encoders cannot be precomputed.
CHANGES_INPUTS = replace(NO_LABELS, runs_encoders=True)
# One that puts the unknown token in the place of others. Its number in all tokenisers that xlearn learns:
UNKNOWN = 1
INSERTS_UNKNOWN = replace(CHANGES_INPUTS, unknown_token=True)


def inputs_of(batch: Batch, modality: str) -> Inputs | None:
    """The raw inputs of a modality; None without them, where a frozen encoder or features replace them, and in another form
    than augmentations know.
    """
    known = modality not in batch.specs or batch.form(modality).augmented
    return batch.inputs.get(modality) if known and modality not in batch.encoded else None


def pictures(batch: Batch) -> Tensor | None:
    """The images of a batch `[batch, channels, height, width]`; None without images, and where features replace them."""
    found = inputs_of(batch, "image")
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
