"""Sound: log-mel frames computed from waves, precomputed frames, or waves for networks that read them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.columns import Column, Inputs, Ragged, Sequences
from xlearn.data.modalities import Modality, Pool
from xlearn.data.modalities.log_mel import FRAMES, VERSION, log_mel, mel_bands, resampled, shortened, sizes, standardised
from xlearn.data.modalities.pieces import Cut, Noise, PieceOptions
from xlearn.data.modalities.sound_noise import noisy_sounds
from xlearn.data.modalities.vector import noisy
from xlearn.data.options import AudioOptions
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import kept


@dataclass(frozen=True)
class AudioSpec(Modality):
    """Sound as frames `float [frames, bands]`, or as waves `float [samples]` where `bands` is 0.

    `rate` in Hz, None where the data came as frames. `front` identifies the computation of the frames.
    """

    bands: int
    rate: int | None
    front: str

    noise_unit, augmented = "standard deviations of the column", True

    @property
    def learned(self) -> bool:
        """Means and deviations of frames that came as such; those of waves follow from each clip alone."""
        return self.rate is None

    scaling = learned

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "LogMel | Frames":
        return fit(pools, options)

    def noise(self, values: Tensor, level: float, generator: torch.Generator) -> Tensor:
        return noisy(values, level, generator)

    def pieces(self, columns: Sequence[Column], options: PieceOptions) -> "Stretches":
        """Raises `Problem` for waves."""
        if not self.bands:
            raise Problem(
                f"{options.method} reconstructs frames of sounds, but this encoder reads waves. Choose "
                "encoder/audio=audio_cnn, or a method that compares views, e.g. pretrain=simclr."
            )
        longest = max(int(each.lengths.max()) for each in columns if isinstance(each, Ragged))
        return Stretches(self.bands, options.frames, longest)


@dataclass(frozen=True)
class LogMel:
    """Log-mel frames `float32 [frames, bands]`; they are determined by `options`, and nothing is learned from data."""

    spec: AudioSpec
    options: AudioOptions

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        rate, options = self.spec.rate, self.options
        assert rate is not None

        def make() -> dict[str, Tensor]:
            waves, _ = _waves(pool, rate, options.seconds)
            frames = log_mel(waves, rate, options.bands, options.window, options.hop)
            return {"values": frames.values, "offsets": frames.offsets}

        found = kept(digest(["log-mel", code_digest(__name__), pool.fingerprint, asdict(self.spec)], 16), make, computed=True)
        return Ragged(found["values"], found["offsets"]), _notes(pool, rate, options.seconds)


@dataclass(frozen=True)
class Frames:
    """Precomputed frames: `(x - mean) / deviation` per band, both over the training rows of all tasks."""

    spec: AudioSpec
    mean: Tensor
    deviation: Tensor

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        frames = _column(pool)
        return Ragged((frames.values - self.mean) / self.deviation, frames.offsets), {}


@dataclass(frozen=True)
class Waves:
    """Waves `float32 [samples]` at one rate; where `standardise`, each with mean 0 and variance 1."""

    spec: AudioSpec
    seconds: float | None
    standardise: bool

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        assert self.spec.rate is not None
        waves, notes = _waves(pool, self.spec.rate, self.seconds)
        return (standardised(waves) if self.standardise else waves), notes


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> LogMel | Frames:
    """Log-mel frames where the tasks have waves, at the lowest of their rates unless `options` give one.

    The lowest, because higher frequencies that only one task has would identify the task. Precomputed frames are only rescaled.
    Raises `Problem` if some tasks have waves and others frames, and for different numbers of bands.
    """
    chosen = _checked(options)
    if not _all_waves(pools):
        return _fit_frames(pools)
    rate = chosen.rate or min(_rate(pool) for pool in pools)
    mel_bands(rate, chosen.bands, sizes(rate, chosen.window, chosen.hop)[2])  # raises for too many bands
    front = digest(["log-mel", FRAMES, rate, chosen.bands, chosen.window, chosen.hop, chosen.seconds])
    return LogMel(AudioSpec(chosen.bands, rate, f"log-mel {front}"), chosen)


def wave_format(pools: Sequence[Pool], options: Mapping[str, Any], rate: int, standardise: bool = True) -> Waves:
    """Waves at `rate`, for an encoder that reads waves and names this in its `format`.

    Of `options` only `seconds` is used; another `rate` there raises `Problem`. `standardise`: `(x - mean) / deviation` per
    clip, as wav2vec 2.0 and similar networks expect.
    """
    chosen = _checked(options)
    if chosen.rate not in (None, rate):
        raise Problem(f"audio.rate={chosen.rate}: this encoder reads waves at {rate} Hz. Set audio.rate to null.")
    if not _all_waves(pools):
        raise Problem(f"{pools[0].name} has frames, but this encoder reads waves. Choose encoder/audio=audio_cnn.")
    front = f"waves {digest([VERSION, rate, chosen.seconds, standardise])}"
    return Waves(AudioSpec(0, rate, front), chosen.seconds, standardise)


def _checked(options: Mapping[str, Any]) -> AudioOptions:
    known = list(AudioOptions.__dataclass_fields__)
    for name in (each for each in options if each not in known):
        raise Problem(f"audio.{name}: there is no such setting. {nearest(name, known)}")
    chosen = AudioOptions(**options)
    for name, least in (("rate", 1), ("bands", 1)):
        if (value := getattr(chosen, name)) is not None and value < least:
            raise Problem(f"audio.{name}={value}: give {least} or more.")
    for name in ("window", "hop", "seconds"):
        if (value := getattr(chosen, name)) is not None and not value > 0:
            raise Problem(f"audio.{name}={value}: give a number of seconds above 0.")
    return chosen


def _all_waves(pools: Sequence[Pool]) -> bool:
    """Whether the tasks have waves (True) or frames (False). Raises `Problem` where they have both."""
    waves = [pool.name for pool in pools if _column(pool).values.ndim == 1]
    frames = [pool.name for pool in pools if _column(pool).values.ndim > 1]
    if waves and frames:
        raise Problem(
            f"{waves[0]} has waves and {frames[0]} has precomputed frames: no common form fits both. "
            "Take tasks that all have waves, or that all have frames."
        )
    return bool(waves)


def _fit_frames(pools: Sequence[Pool]) -> Frames:
    bands = {_column(pool).values.shape[1]: pool.name for pool in pools}
    if len(bands) > 1:
        told = " and ".join(f"{name} has frames of {count} numbers" for count, name in bands.items())
        raise Problem(f"{told}: no common form fits both. Take tasks whose frames were made in the same way.")
    rows = torch.cat([_column(pool).subset(pool.train).values for pool in pools]).double()
    if not len(rows):
        raise Problem(f"{pools[0].name} has no training example with sound.")
    mean, deviation = rows.mean(0).float(), rows.std(0, correction=0).float()
    if not bool((deviation > 1e-6).any()):
        raise Problem(f"{pools[0].name}: all {len(rows)} training frame(s) are equal, and would become 0. Give more sounds.")
    deviation = torch.where(deviation > 1e-6, deviation, 1)
    front = f"frames {digest([VERSION, mean.tolist(), deviation.tolist()])}"
    return Frames(AudioSpec(rows.shape[1], None, front), mean, deviation)


def _waves(pool: Pool, rate: int, seconds: float | None) -> tuple[Ragged, dict[str, Any]]:
    """The waves of a task at `rate`, cut to `seconds`, and notes on both."""
    waves, own = _column(pool), _rate(pool)
    if seconds is not None:
        waves = shortened(waves, max(round(seconds * own), 1))
    if own != rate:
        key = digest(["resampled", code_digest(__name__), pool.fingerprint, own, rate, seconds], 16)

        def make() -> dict[str, Tensor]:
            made = resampled(waves, own, rate)
            return {"values": made.values, "offsets": made.offsets}

        found = kept(key, make, computed=True)
        waves = Ragged(found["values"], found["offsets"])
    return waves, _notes(pool, rate, seconds)


def _notes(pool: Pool, rate: int, seconds: float | None) -> dict[str, Any]:
    own, waves = _rate(pool), _column(pool)
    notes: dict[str, Any] = {} if own == rate else {"resampled": len(waves), "from_rate": own, "to_rate": rate}
    cut = 0 if seconds is None else int((waves.lengths > max(round(seconds * own), 1)).sum())
    return notes | ({"cut": cut} if cut else {})


def _column(pool: Pool) -> Ragged:
    column = pool.raw.inputs["audio"]
    assert isinstance(column, Ragged)
    return column


def _rate(pool: Pool) -> int:
    if pool.raw.rate is None:
        raise Problem(f"{pool.name} has waves without a rate: its loader must set Raw.rate.")
    return pool.raw.rate


@dataclass(frozen=True)
class Stretches:
    """Stretches of `frames` consecutive frames of a sound; the last may be shorter. Masked ones become 0, the mean."""

    bands: int
    frames: int
    longest: int

    @property
    def places(self) -> int:
        return -(-self.longest // self.frames)

    @property
    def size(self) -> int:
        return self.frames * self.bands

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Sequences)
        lacking = -given.values.shape[1] % self.frames
        content = functional.pad(given.values, (0, 0, 0, lacking)).unflatten(1, (-1, self.frames)).flatten(2)
        known = functional.pad(given.mask, (0, lacking)).unflatten(1, (-1, self.frames))
        return Cut(content, known.repeat_interleave(self.bands, 2))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Sequences)
        frames = hidden.repeat_interleave(self.frames, 1)[:, : given.values.shape[1], None]
        return Sequences(given.values.masked_fill(frames, 0), given.mask)

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        assert isinstance(given, Sequences)
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return noisy_sounds(given, generator, noise.low, noise.high)
