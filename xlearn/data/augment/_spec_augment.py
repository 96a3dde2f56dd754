"""SpecAugment."""

from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.augment import inputs_of
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def spec_augment(
    batch: Batch,
    generator: torch.Generator,
    *,
    band_masks: int,
    band_width: int,
    time_masks: int,
    time_width: int,
    time_share: float,
) -> Batch:
    """Mask bands and time spans of the frames (Park et al., Interspeech 2019, policy without time warping).

    Per example `band_masks` times: width `w ~ U{0..band_width}`, first band `~ U{0..bands - w}`; and `time_masks` times:
    `w ~ U{0..min(time_width, time_share * length)}` frames, the first `~ U{0..length - w}`, within the valid part. Masked
    values become 0, each band's mean. Raises `Problem` for waves, and for masks as wide as all bands.
    """
    given = inputs_of(batch, "audio")
    if given is None:
        return batch
    if not isinstance(given, Sequences) or given.values.ndim != 3:
        raise Problem(
            "augment.spec_augment needs frames, but these are waves. Choose an encoder of frames (encoder/audio=audio_cnn), or "
            "augment.time_shift or augment.noise, which act on waves too."
        )
    bands, device = given.values.shape[2], given.values.device
    _check(band_masks, band_width, time_masks, time_width, time_share, bands)
    lengths = given.mask.sum(1).cpu()
    hidden_bands = _stretches(torch.full_like(lengths, bands), band_width, band_masks, bands, generator).to(device)
    widest = (lengths * time_share).long().clamp_max(time_width)
    hidden_times = _stretches(lengths, widest, time_masks, given.values.shape[1], generator).to(device)
    values = given.values.masked_fill(hidden_bands[:, None, :] | hidden_times[:, :, None], 0)
    return replace(batch, inputs={**batch.inputs, "audio": Sequences(values, given.mask)})


def _stretches(lengths: Tensor, widest: Tensor | int, count: int, size: int, generator: torch.Generator) -> Tensor:
    """bool `[batch, size]`: True in `count` spans of every row, each up to `widest` long, within the row's length."""
    drawn = torch.rand(2, count, len(lengths), generator=generator, dtype=torch.float64)
    width = (drawn[0] * (widest + 1)).long()
    first = (drawn[1] * (lengths - width + 1)).long()
    places = torch.arange(size)
    return ((places >= first[..., None]) & (places < (first + width)[..., None])).any(0)


def _check(band_masks: int, band_width: int, time_masks: int, time_width: int, time_share: float, bands: int) -> None:
    given = {"band_masks": band_masks, "band_width": band_width, "time_masks": time_masks, "time_width": time_width}
    for name, value in given.items():
        if value < 0:
            raise Problem(f"augment.spec_augment.{name}={value}: give 0 or more.")
    if band_width >= bands:
        raise Problem(f"augment.spec_augment.band_width={band_width}: the frames have {bands} bands. Give at most {bands - 1}.")
    if not 0 <= time_share <= 1:
        raise Problem(f"augment.spec_augment.time_share={time_share}: give a share in [0, 1].")
