"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawing anew for every example.

A batch without the modality that one acts on is returned as it is, the same object.
"""

from torch import Tensor

from xlearn.data.task import Batch


def pictures(batch: Batch) -> Tensor | None:
    """The images of a batch `[batch, channels, height, width]`; None where it has none, or features in their place."""
    found = batch.inputs.get("image")
    return found if isinstance(found, Tensor) and found.ndim == 4 else None
