"""Sound files to waves of one rate, which are kept in the cache."""

import hashlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from xlearn.data.columns import Ragged, offsets
from xlearn.data.tasks import OPEN, Raw
from xlearn.data.tasks.decoding import SPLITS
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import kept

# A path, the content of a file, or `{path, bytes}` as `datasets` gives it; None: this row has no sound.
Sound = str | Path | bytes | Mapping[str, Any] | None
# A file is silent if all samples are this close to their mean (full scale is 1): three steps of 16 bits.
SILENCE = 1e-4


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

    `notes`: the number of `resampled` sounds and their `from_rates`, how many were `cut`, and `bad_sounds` if these are
    skipped.
    """

    waves: Ragged
    rate: int
    bad: Tensor
    notes: dict[str, Any]


def read_sounds(sounds: Sequence[Sound], how: Reading, stamp: str) -> Sounds:
    """Read every sound: channels are averaged, sounds resampled to one rate by a polyphase filter and cut to `seconds`.

    `stamp` identifies the content of all of them (sizes and times of files, or a digest). Raises a `Problem` that names the
    damaged, empty and silent ones, unless `how.skip_bad`. A truncated file is read as far as it goes.
    """
    how.check()
    key = hashlib.blake2b(repr(("sounds", code_digest(__name__), stamp, len(sounds), how)).encode(), digest_size=16).hexdigest()
    found = kept(key, lambda: _read(sounds, how))
    resampled, cut, bad = (int(found[name]) for name in ("resampled", "cut", "bad_count"))
    notes: dict[str, Any] = {"resampled": resampled, "from_rates": found["from_rates"].tolist()} if resampled else {}
    notes |= {"cut": cut} if cut else {}
    notes |= {"bad_sounds": bad} if how.skip_bad else {}
    return Sounds(Ragged(found["values"], found["offsets"]), int(found["rate"]), found["bad"], notes)


def read_classes(splits: Mapping[str, Iterable[tuple[Sound, int]]], classes: list[str], how: Reading, stamp: str) -> Raw:
    """A task of `splits[name]`, which yields (sound, class position). `stamp`, as of `read_sounds`, identifies their origin."""
    rows = [(sound, label, SPLITS.get(split.lower(), OPEN)) for split, given in splits.items() for sound, label in given]
    sounds = read_sounds([sound for sound, _, _ in rows], how, stamp)
    good = torch.nonzero(sounds.waves.lengths > 0).flatten()
    labels = torch.tensor([label for _, label, _ in rows])[good]
    official = torch.tensor([split for _, _, split in rows], dtype=torch.int8)[good] if len(splits) > 1 else None
    waves = sounds.waves if len(good) == len(rows) else sounds.waves.subset(good)
    origin = {"audio": (f"sounds {digest(stamp, 16)}", good)}
    return Raw({"audio": waves}, labels, tuple(classes), "labels", official, sounds.notes, rate=sounds.rate, origin=origin)


def _read(sounds: Sequence[Sound], how: Reading) -> dict[str, Tensor]:
    rate = how.rate or _lowest_rate(sounds)
    waves, bad, told, from_rates, cut = [], [], [], [], 0
    for number, sound in enumerate(tqdm(sounds, desc=f"reading {how.name}", disable=None, leave=False)):
        wave, wrong = numpy.zeros(0, numpy.float32), False
        if sound is not None:
            try:
                wave, own_rate, was_cut = _wave(sound, rate, how.seconds)
                from_rates += [own_rate] if own_rate != rate else []
                cut += was_cut
            except Exception as error:  # soundfile raises several kinds for damaged files
                wrong = True
                told.append(f"{_name(sound) or f'row {number}'} ({_reason(error)})")
        waves.append(wave)
        bad.append(wrong)
    if told and not how.skip_bad:
        shown = "\n  ".join(told[:10])
        raise Problem(
            f"{how.name}: {len(told)} sound(s) are damaged, empty or silent. Repair or remove them, or set skip_bad=true:\n"
            f"  {shown}"
        )
    if not any(len(wave) for wave in waves):
        raise Problem(f"{how.name}: none of its {len(sounds)} sounds can be read.")
    return {
        "values": torch.from_numpy(numpy.concatenate(waves)),
        "offsets": offsets([len(wave) for wave in waves]),
        "bad": torch.tensor(bad),
        "bad_count": torch.tensor(len(told)),
        "rate": torch.tensor(rate),
        "resampled": torch.tensor(len(from_rates)),
        "from_rates": torch.tensor(sorted(set(from_rates)), dtype=torch.int64),
        "cut": torch.tensor(cut),
    }


def _lowest_rate(sounds: Sequence[Sound]) -> int:
    """From the headers only; damaged files are reported later."""
    import soundfile

    rates = set()
    for sound in sounds:
        if sound is not None:
            try:
                rates.add(soundfile.info(_stream(sound)).samplerate)
            except Exception:
                continue
    return min(rates, default=1)


def _wave(sound: Sound, rate: int, seconds: float | None) -> tuple[numpy.ndarray, int, bool]:
    """(float32 `[samples]` at `rate`, the file's own rate, whether it was cut)."""
    import soundfile

    with soundfile.SoundFile(_stream(sound)) as opened:
        own_rate, most = opened.samplerate, -1 if seconds is None else max(1, round(seconds * opened.samplerate))
        cut = 0 <= most < opened.frames
        wave = opened.read(most, dtype="float32", always_2d=True).mean(1)
    if not len(wave):
        raise ValueError("empty")
    if not numpy.isfinite(wave).all():
        raise ValueError("some samples are not finite")
    if numpy.abs(wave - wave.mean()).max() <= SILENCE:
        raise ValueError("silent")
    if own_rate != rate:
        from scipy.signal import resample_poly  # 1.7 s to import

        common = math.gcd(own_rate, rate)
        wave = resample_poly(wave, rate // common, own_rate // common).astype(numpy.float32)
    return wave, own_rate, cut


def _stream(sound: Sound) -> Any:
    content = sound.get("bytes") if isinstance(sound, Mapping) else sound
    if isinstance(content, bytes):
        return io.BytesIO(content)
    return str(_name(sound))


def _name(sound: Sound) -> str | None:
    if isinstance(sound, Mapping):
        return sound.get("path")
    return None if isinstance(sound, bytes) else str(sound)


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".").rpartition(": ")[2]  # soundfile's messages begin with the file's name
    return text.splitlines()[0] if text else type(error).__name__
