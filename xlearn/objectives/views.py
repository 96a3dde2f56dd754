"""Weak and strong views of a batch, for objectives that compare what a network makes of both."""

from dataclasses import replace

import torch
from torch import Tensor

from xlearn.augment import pictures
from xlearn.augment.crop import crop
from xlearn.augment.cutout import cutout
from xlearn.augment.noise import noise
from xlearn.augment.rotate import rotate
from xlearn.augment.spec_augment import spec_augment
from xlearn.augment.time_shift import time_shift
from xlearn.augment.token_dropout import UNKNOWN, token_dropout
from xlearn.columns import Inputs, Sequences
from xlearn.errors import Problem
from xlearn.objectives import Start
from xlearn.task import Batch, TextSpec
from xlearn.unlabeled import UNLABELED

# Of numbers that have no augmentation of their own so many stay in a strong view.
KEPT = 0.8


def weak(batch: Batch) -> Batch:
    """The examples, hardly changed: images cropped by at most an eighth of a side, sounds shifted by at most 5 % of their
    length, all else as it is. Nothing that was computed of the batch before is taken over.

    Nothing is mirrored: of digits and letters that would be other classes. Drawn from torch's global generator.
    """
    generator = _generator()
    for view in (_cropped, _shifted):
        batch = view(batch, generator)
    return replace(batch, memo={})


def strong(batch: Batch) -> Batch:
    """The examples, changed as far as their classes stay. Drawn from torch's global generator, as is `weak`.

    Images: as `weak`, then rotated by up to 30 degrees, and a square of a third of the side blackened. Texts: every token
    unknown with probability 0.2. Sounds: shifted by up to 10 %, noise of 10 to 30 dB, and of frames bands and stretches of time
    hidden. Columns of numbers, and what frozen networks made of the inputs (tokens, vectors, features): every number kept with
    probability 0.8 and divided by 0.8, otherwise 0; missing values stay missing.
    """
    generator = _generator()
    if batch.features is not None:
        return replace(batch, features=_dropped(batch.features, generator), memo={})
    for view in (_cropped, _turned, _unknown, _disturbed, _thinned):
        batch = view(batch, generator)
    return replace(batch, memo={})


def need_views(start: Start, name: str) -> None:
    """Raises `Problem` where a strong view of the target's texts could not be made: nothing is known as the unknown token."""
    text = start.tasks[UNLABELED].inputs.get("text")
    if "text" in start.network.encoder and isinstance(text, TextSpec) and text.unknown != UNKNOWN:
        raise Problem(
            f"{name} makes tokens unknown, which is number {UNKNOWN} only in tokenisers learned here (this one: "
            f"{text.unknown}). Choose another encoder/text, e.g. transformer, or a transfer without views, e.g. pseudo_label."
        )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))


def _cropped(batch: Batch, generator: torch.Generator) -> Batch:
    if (images := pictures(batch)) is None:
        return batch
    return crop(batch, generator, padding=max(1, min(images.shape[-2:]) // 8))


def _turned(batch: Batch, generator: torch.Generator) -> Batch:
    if (images := pictures(batch)) is None:
        return batch
    return cutout(rotate(batch, generator, degrees=30), generator, size=max(1, min(images.shape[-2:]) // 3))


def _unknown(batch: Batch, generator: torch.Generator) -> Batch:
    return token_dropout(batch, generator, share=1 - KEPT)


def _sound(batch: Batch) -> Sequences | None:
    """Waves or frames; None where there are none, or tokens in their place."""
    given = batch.inputs.get("audio")
    return given if isinstance(given, Sequences) and "audio" not in batch.encoded else None


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


def _thinned(batch: Batch, generator: torch.Generator) -> Batch:
    """Numbers dropped from what has no augmentation of its own: columns, vectors, and tokens that were computed before."""

    def thin(given: Inputs) -> Inputs:
        if isinstance(given, Sequences):
            return Sequences(_dropped(given.values, generator), given.mask)
        return _dropped(given, generator)

    inputs = dict(batch.inputs)
    for name, given in batch.inputs.items():
        if name in batch.encoded or (isinstance(given, Tensor) and given.ndim == 2):
            inputs[name] = thin(given)
    return replace(batch, inputs=inputs)


def _dropped(values: Tensor, generator: torch.Generator) -> Tensor:
    # NaN, a missing value, times 0 stays NaN.
    return values * ((torch.rand(values.shape, generator=generator) < KEPT) / KEPT).to(values.device, values.dtype)
