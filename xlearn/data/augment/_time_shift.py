"""Random shifts of sounds in time."""

from dataclasses import replace

import torch

from xlearn.data.augment import inputs_of
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def time_shift(batch: Batch, generator: torch.Generator, *, share: float) -> Batch:
    """Shift each sound by `round(s * length)` positions, `s ~ U[-share, share]`, within its valid part; the length stays.

    What moves out is lost. The gap holds zeros in waves, and the outermost frame, repeated, in frames.
    """
    given = inputs_of(batch, "audio")
    if given is None:
        return batch
    if not 0 <= share < 1:
        raise Problem(f"augment.time_shift.share={share}: give a share in [0, 1).")
    assert isinstance(given, Sequences)
    values, mask = given
    lengths = mask.sum(1, keepdim=True)
    drawn = torch.rand(len(values), 1, generator=generator).to(values.device) * 2 - 1
    wanted = torch.arange(values.shape[1], device=values.device) - (drawn * share * lengths).round().long()
    last = (lengths - 1).clamp_min(0)
    places = torch.minimum(wanted.clamp_min(0), last)
    if values.ndim == 2:
        moved = values.gather(1, places).masked_fill((wanted != places) | ~mask, 0)
    else:
        moved = values.gather(1, places[:, :, None].expand_as(values)).masked_fill(~mask[:, :, None], 0)
    return replace(batch, inputs={**batch.inputs, "audio": Sequences(moved, mask)})
