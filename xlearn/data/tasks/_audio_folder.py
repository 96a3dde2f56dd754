"""The user's own sounds, one folder per class."""

from functools import cache
from pathlib import Path

import torch

from xlearn.data.tasks import Raw
from xlearn.data.tasks.class_folders import Kind, class_folders, stamp
from xlearn.data.tasks.sound import Reading, read_sounds

# Formats of soundfile that hold no sound, or say nothing of its rate and its samples.
OTHERS = {"RAW", "MAT4", "MAT5", "HTK", "PVF", "XI", "SDS", "MPC2K", "SD2"}
# Other endings of the same formats.
FURTHER = {"AIFF": (".aif", ".aifc"), "AU": (".snd",), "OGG": (".oga", ".opus"), "MP3": (".mp2",), "NIST": (".sph",)}


@cache
def endings() -> frozenset[str]:
    """The endings of the files that soundfile reads here, in lower case, with their dots."""
    import soundfile

    formats = soundfile.available_formats().keys() - OTHERS
    return frozenset(ending for name in formats for ending in (f".{name.lower()}", *FURTHER.get(name, ())))


def audio_folder(
    *,
    folder: str,
    rate: int | None = None,
    seconds: float | None = None,
    class_names: list[str] | None = None,
    split_by: int | str | None = None,
    skip_bad: bool = False,
) -> Raw:
    """`folder/<class>/<file>`, `folder/<split>/<class>/<file>` or `folder/<class>/<split>/<file>` with splits named train, val
    and test (or a usual synonym).

    Sounds become waves of one channel at `rate` Hz (null: the lowest among the files), cut to `seconds` if they are longer. The
    channel is the mean of the file's channels, or the loudest where they cancel each other. A file that is damaged, empty or
    silent raises `Problem` with its name, unless `skip_bad`. Unlabelled files, `class_names`, `split_by`, other files and two
    folders at once: see `image_folder`.
    """
    how = Reading(str(Path(folder)), rate, seconds, skip_bad)
    how.check()
    kind = Kind("sounds", endings(), ("yes/1.wav", "no/1.wav"))
    files, listing = class_folders(folder, kind, class_names, split_by, skip_bad)
    found = read_sounds(files, how, stamp(files))
    good = torch.nonzero(found.waves.lengths > 0).flatten()
    waves = found.waves if len(good) == len(files) else found.waves.subset(good)
    content = {"audio": found.content[good]}
    return listing.raw("audio", waves, good, found.origin, rate=found.rate, content=content, notes=found.notes)
