"""The user's own sounds, one folder per class."""

from pathlib import Path

from xlearn.data.tasks import Raw
from xlearn.data.tasks.class_folders import class_folders, stamp
from xlearn.data.tasks.sound import Reading, Sound, read_classes

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}


def audio_folder(*, folder: str, rate: int | None = None, seconds: float | None = None, skip_bad: bool = False) -> Raw:
    """`folder/<class>/<file>`, or `folder/<split>/<class>/<file>` with splits named train, val and test (or a usual synonym).

    Sounds become waves of one channel at `rate` Hz (null: the lowest among the files), cut to `seconds` if they are longer. A
    file that is damaged, empty or silent raises `Problem` with its name, unless `skip_bad`. Two folders with the same class
    names have the same label space. Hidden files and folders are left out. For two folders at once see `image_folder`.
    """
    named = class_folders(folder, ENDINGS, "sounds", ("yes/1.wav", "no/1.wav"))
    classes = sorted({name for _, name, _ in named})
    rows: dict[str, list[tuple[Sound, int]]] = {split: [] for split, _, _ in named}
    for split, name, file in named:
        rows[split].append((file, classes.index(name)))
    return read_classes(rows, classes, Reading(str(Path(folder).expanduser()), rate, seconds, skip_bad), stamp(named))
