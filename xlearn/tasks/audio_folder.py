"""The user's own sounds, one folder per class."""

from pathlib import Path

from xlearn.errors import Problem
from xlearn.tasks import Raw
from xlearn.tasks.image_folder import _splits
from xlearn.tasks.sound import Reading, Sound, read_classes

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"}


def audio_folder(*, folder: str, rate: int | None = None, seconds: float | None = None, skip_bad: bool = False) -> Raw:
    """`folder/<class>/<file>`, or `folder/<split>/<class>/<file>` with splits named train, val and test (or as usual).

    Sounds become waves of one channel at `rate` Hz (null: the lowest among the files), cut to `seconds` where they are
    longer. A file that is damaged, empty or silent stops with its name, unless `skip_bad`. Two folders with the same class
    names have the same label space. Hidden files and folders are left out. For two folders at once see `image_folder`.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise Problem(f"folder={folder}: there is no such folder. Give a folder that holds one folder per class.")
    found = _sounds(root)
    splits = _splits(found, folder)
    named = [(parts[0] if splits else "train", parts[1 if splits else 0], file) for parts, file in found]
    classes = sorted({name for _, name, _ in named})
    if len(classes) < 2:
        raise Problem(
            f"folder={folder}: {len(found)} sounds in {len(classes)} class folders. "
            f"Expected at least two, as in {folder}/yes/1.wav and {folder}/no/1.wav."
        )
    rows: dict[str, list[tuple[Sound, int]]] = {split: [] for split, _, _ in named}
    for split, name, file in named:
        rows[split].append((file, classes.index(name)))
    stamp = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for _, _, file in named]
    return read_classes(rows, classes, Reading(str(root), rate, seconds, skip_bad), repr(stamp))


def _sounds(root: Path) -> list[tuple[tuple[str, ...], Path]]:
    """(folders below `root`, file) of every sound in a folder, in the order of their paths."""
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    found = [(file.relative_to(root).parts, file) for file in files]
    return [(parts[:-1], file) for parts, file in found if len(parts) > 1 and not any(part.startswith(".") for part in parts)]
