"""Weak and strong views of a batch, for consistency objectives."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from xlearn.data.augment import UNKNOWN, inputs_of, pictures
from xlearn.data.augment._crop import crop
from xlearn.data.augment._cutout import cutout
from xlearn.data.augment._noise import noise
from xlearn.data.augment._rotate import rotate
from xlearn.data.augment._span_masking import span_masking
from xlearn.data.augment._spec_augment import spec_augment
from xlearn.data.augment._time_shift import time_shift
from xlearn.data.augment._token_dropout import token_dropout
from xlearn.data.columns import Sequences
from xlearn.data.modalities import modality
from xlearn.data.modalities.vector import dropped_numbers
from xlearn.data.task import Batch, Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.views import KEPT, Augment, generator_of_views, with_hidden_parts
from xlearn.runtime.errors import Problem

# Augmentations that insert the unknown token.
HIDING = (token_dropout, span_masking)


def weak(batch: Batch) -> Batch:
    """A weak view: images cropped by at most an eighth of a side, sounds shifted by at most 5 % of their length, other inputs
    unchanged. The memo is empty.

    No mirroring, which would change the class of digits and letters. Drawn from torch's global generator.
    """
    generator = generator_of_views()
    for view in (_cropped, _shifted):
        batch = view(batch, generator)
    return replace(batch, memo={})


def strong(batch: Batch) -> Batch:
    """A strong view, which should preserve the class. Drawn from torch's global generator, as `weak`.

    Images: as `weak`, then rotated by up to 30 degrees, with a black square of a third of the side. Texts: every token replaced
    by the unknown token with probability 0.2. Sounds: shifted by up to 10 %, noise of 10 to 30 dB, and masked bands and time
    spans of frames. Numeric columns and precomputed tokens, vectors and features: dropout with probability 0.2; missing values
    stay missing. Other modalities: parts hidden by their class.
    """
    generator = generator_of_views()
    if batch.features is not None:
        return replace(batch, features=dropped_numbers(batch.features, 1 - KEPT, generator), memo={})
    for view in STRONG:
        batch = view(batch, generator)
    return replace(batch, memo={})


def need_change(task: Task, views: Sequence[Augment], phase: str) -> None:
    """Raise `Problem` if views of the task's examples cannot be made, or do not change one of its modalities."""
    inserts = any(getattr(each, "func", each) in HIDING for each in views)
    if inserts and modality(task.inputs.get("text")).lacks_unknown(UNKNOWN):
        raise Problem(
            f"phase {phase}: views insert the unknown token {UNKNOWN}, which only tokenisers trained by xlearn have. Choose "
            "another encoder/text, e.g. transformer, or other views."
        )
    if unchanged := _unchanged(task, (*views, with_hidden_parts)):
        raise Problem(
            f"phase {phase}: no view changes the {unchanged[0]} of {task.name}, so two views are equal and there is nothing to "
            "learn. Choose views=standard, add a view (`xlearn show augment`), or leave it out "
            "(pretrain.phases.pretrain.modalities=[...])."
        )


def need_views(context: PhaseContext, name: str) -> None:
    """Raise `Problem` if no strong view can be made of a modality of the target that the network reads."""
    task = context.tasks[UNLABELED]
    read = [each for each in _unchanged(task, STRONG) if each in context.network.encoder]
    if read:
        raise Problem(
            f"{name} compares a weak and a strong view, and no strong view of {read[0]} can be made: "
            f"nothing in this form of it ({type(task.inputs[read[0]]).__name__}) can be hidden. Choose another "
            f"encoder/{read[0]}, or a method without views, e.g. pseudo_label."
        )


def _unchanged(task: Task, views: Sequence[Augment]) -> list[str]:
    """The modalities of which no view changes the longest examples."""
    lengths = task.train.lengths()
    index = torch.arange(len(task.train)) if lengths is None else lengths.argsort(descending=True)
    if not len(index):
        return []
    batch = task.train.take(index[:2])

    def changed(name: str) -> bool:
        given = batch.only(name)
        return any(each(given, torch.Generator().manual_seed(0)) is not given for each in views)

    return [name for name in sorted(batch.inputs) if not changed(name)]


def _cropped(batch: Batch, generator: torch.Generator) -> Batch:
    if (images := pictures(batch)) is None:
        return batch
    return crop(batch, generator, padding=max(1, min(images.shape[-2:]) // 8))


def _turned(batch: Batch, generator: torch.Generator) -> Batch:
    if (images := pictures(batch)) is None:
        return batch
    return cutout(rotate(batch, generator, degrees=30), generator, size=max(1, min(images.shape[-2:]) // 3))


def _unknown(batch: Batch, generator: torch.Generator) -> Batch:
    return with_hidden_parts(batch, generator, augmented=True)


def _sound(batch: Batch) -> Sequences | None:
    """The waves or frames of the batch; None without sounds, and for precomputed tokens."""
    given = inputs_of(batch, "audio")
    return given if isinstance(given, Sequences) else None


def _shifted(batch: Batch, generator: torch.Generator) -> Batch:
    return batch if _sound(batch) is None else time_shift(batch, generator, share=0.05)


def _disturbed(batch: Batch, generator: torch.Generator) -> Batch:
    if (sound := _sound(batch)) is None:
        return batch
    batch = noise(time_shift(batch, generator, share=0.1), generator, low=10.0, high=30.0)
    if sound.values.ndim != 3:
        return batch
    width = min(8, sound.values.shape[2] // 5)
    return spec_augment(batch, generator, band_masks=2, band_width=width, time_masks=2, time_width=8, time_share=0.25)


# In the order of their random draws.
STRONG = (_cropped, _turned, _unknown, _disturbed, with_hidden_parts)
