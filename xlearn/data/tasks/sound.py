"""Sound files to waves of one rate, which are kept in the cache."""

import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data.columns import Ragged, offsets
from xlearn.data.content import of_samples
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.growing import Write, kept_growing
from xlearn.runtime.hashing import digest
from xlearn.runtime.memory import need_memory

# A path, the content of a file, or `{path, bytes}` as `datasets` gives it; None: this row has no sound.
Sound = str | Path | bytes | Mapping[str, Any] | None
# A file is silent if all samples are this close to their mean (full scale is 1): three steps of 16 bits.
SILENCE = 1e-4
# Of the energy that the mean of unrelated channels has: with less, they cancel each other.
CANCELLED = 0.1


@dataclass(frozen=True)
class Reading:
    """How the sounds of a task become waves. `name` is for messages.

    `rate` in Hz; null: the lowest among the files, because resampling to a higher rate leaves the high frequencies empty, which
    identifies a wave. `seconds`: longer sounds are cut to it; null: nothing is cut.
    """

    name: str
    rate: int | None = None
    seconds: float | None = None
    skip_bad: bool = False

    def check(self) -> None:
        if self.rate is not None and self.rate < 1:
            raise Problem(f"rate={self.rate}: give samples per second, e.g. 16000, or null for the files' own.")
        if self.seconds is not None and not self.seconds > 0:
            raise Problem(f"seconds={self.seconds}: give more than 0, or null for the whole length.")


@dataclass(frozen=True)
class Sounds:
    """Waves float32 of all given rows, at `rate` Hz. `bad bool [n]`: unreadable; these and None rows are empty.

    `content int64 [n]`: digests as in `Raw`, of the part that is read (`seconds`) at the files' own rates. `origin`: the name
    of the data, whatever the rate.

    `notes`: the number of `resampled` sounds and their `from_rates`, how many were `cut`, how many have `cancelling_channels`,
    and `bad_sounds` if these are skipped.
    """

    waves: Ragged
    rate: int
    bad: Tensor
    content: Tensor
    origin: str
    notes: dict[str, Any]


def read_sounds(sounds: Sequence[Sound], how: Reading, stamp: str) -> Sounds:
    """Read every sound: channels are averaged, sounds resampled to one rate by a polyphase filter and cut to `seconds`.

    Of channels that cancel each other (see `_mono`) the loudest is read. `stamp` identifies the content of all of them (sizes
    and times of files, or a digest). Raises a `Problem` that names the damaged, empty and silent ones, unless `how.skip_bad`,
    and before reading if memory is too small. A truncated file is read as far as it goes.
    """
    how.check()
    key = hashlib.blake2b(repr(("sounds", code_digest(__name__), stamp, len(sounds), how)).encode(), digest_size=16).hexdigest()
    found = kept_growing(key, "values", "float32", (), lambda write: _read(sounds, how, write))
    counts = {name: int(found[name]) for name in ("resampled", "cut", "cancelling_channels", "bad_sounds")}
    notes: dict[str, Any] = {name: count for name, count in counts.items() if count or (name == "bad_sounds" and how.skip_bad)}
    notes |= {"from_rates": found["from_rates"].tolist()} if "resampled" in notes else {}
    origin = f"sounds {digest(stamp, 16)}"
    waves = Ragged(found["values"], found["offsets"])
    return Sounds(waves, int(found["rate"]), found["bad"], found["content"], origin, notes)


def _read(sounds: Sequence[Sound], how: Reading, write: Write) -> dict[str, Tensor]:
    rate = _rate(sounds, how)
    lengths, contents, bad, sentences, from_rates, cut, cancelling = [], [], [], [], [], 0, 0
    for number, sound in enumerate(tqdm(sounds, desc=f"reading {how.name}", disable=None, leave=False)):
        wave, content, wrong = numpy.zeros(0, numpy.float32), 0, False
        if sound is not None:
            try:
                wave, own_rate, was_cut, cancels = _wave(sound, how.seconds)
                content, wave = of_samples(wave, own_rate), _at(wave, own_rate, rate)
                from_rates += [own_rate] if own_rate != rate else []
                cut, cancelling = cut + was_cut, cancelling + cancels
            except MemoryError as error:
                where = _name(sound) or f"row {number}"
                raise Problem(
                    f"{where}: there is not enough memory to read this sound. Set seconds to a shorter part."
                ) from error
            except Exception as error:  # soundfile raises several kinds for damaged files
                wrong = True
                sentences.append(f"{_name(sound) or f'row {number}'} ({_reason(error)})")
        write(wave)
        lengths.append(len(wave))
        contents.append(content)
        bad.append(wrong)
    if sentences and not how.skip_bad:
        listed = "\n  ".join(sentences[:10])
        raise Problem(
            f"{how.name}: {len(sentences)} sound(s) are damaged, empty or silent. Repair or remove them, or set "
            f"skip_bad=true:\n  {listed}"
        )
    if not any(lengths):
        raise Problem(f"{how.name}: none of its {len(sounds)} sounds can be read.")
    return {
        "offsets": offsets(lengths),
        "content": torch.tensor(contents),
        "bad": torch.tensor(bad),
        "bad_sounds": torch.tensor(len(sentences)),
        "rate": torch.tensor(rate),
        "resampled": torch.tensor(len(from_rates)),
        "from_rates": torch.tensor(sorted(set(from_rates)), dtype=torch.int64),
        "cut": torch.tensor(cut),
        "cancelling_channels": torch.tensor(cancelling),
    }


def _rate(sounds: Sequence[Sound], how: Reading) -> int:
    """The rate of all waves, from the headers only; damaged files are reported later. Raises `Problem` if memory is too
    small.
    """
    import soundfile

    rates, lasts = [], []
    for sound in sounds:
        if sound is not None:
            try:
                header = soundfile.info(_stream(sound))
            except Exception:
                continue
            rates.append(header.samplerate)
            lasts.append(header.duration if how.seconds is None else min(header.duration, how.seconds))
    rate = how.rate or min(rates, default=1)
    needed = int(sum(lasts) * rate * 4)
    need_memory(needed, f"{how.name}: {len(sounds):,} sounds at {rate} Hz", "Give a lower rate, or seconds of each sound.")
    return rate


def _wave(sound: Sound, seconds: float | None) -> tuple[numpy.ndarray, int, bool, bool]:
    """(float32 `[samples]`, their rate, whether the sound was cut, whether its channels cancel each other)."""
    import soundfile

    with soundfile.SoundFile(_stream(sound)) as opened:
        own_rate, most = opened.samplerate, -1 if seconds is None else max(1, round(seconds * opened.samplerate))
        cut = 0 <= most < opened.frames
        channels = opened.read(most, dtype="float32", always_2d=True)
    if not len(channels):
        raise ValueError("empty")
    if not numpy.isfinite(channels).all():
        raise ValueError("some samples are not finite")
    wave, cancels = _mono(channels)
    if numpy.abs(wave - wave.mean()).max() <= SILENCE:
        raise ValueError("silent")
    return wave, own_rate, cut, cancels


def _mono(channels: numpy.ndarray) -> tuple[numpy.ndarray, bool]:
    """(the mean of channels `[samples, channels]`, False), or (the loudest of them, True) where they cancel each other.

    The mean of n channels that have nothing in common has 1/n^2 of the sum of their energies, the mean of equal ones n times as
    much. Channels cancel if it has less than a tenth of the former (-10 dB), as a channel and its negative do.
    """
    mean, count = channels.mean(1), channels.shape[1]
    if count > 1:
        energies = channels.var(0, dtype=numpy.float64)
        if mean.var(dtype=numpy.float64) * count**2 < CANCELLED * energies.sum():
            return numpy.ascontiguousarray(channels[:, energies.argmax()]), True
    return mean, False


def _at(wave: numpy.ndarray, own_rate: int, rate: int) -> numpy.ndarray:
    if own_rate == rate:
        return wave
    from scipy.signal import resample_poly  # 1.7 s to import

    common = math.gcd(own_rate, rate)
    return resample_poly(wave, rate // common, own_rate // common).astype(numpy.float32)


def _stream(sound: Sound) -> Any:
    content = sound.get("bytes") if isinstance(sound, Mapping) else sound
    if isinstance(content, bytes):
        return io.BytesIO(content)
    return os.fsencode(str(_name(sound)))  # soundfile would refuse names that are no UTF-8


def _name(sound: Sound) -> str | None:
    if isinstance(sound, Mapping):
        return sound.get("path")
    return None if isinstance(sound, bytes) else str(sound)


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".").rpartition(": ")[2]  # soundfile's messages begin with the file's name
    return text.splitlines()[0] if text else type(error).__name__
