"""Folders that hold one folder per class, with or without folders of splits above them."""

from collections.abc import Collection
from pathlib import Path

from xlearn.data.tasks import OPEN
from xlearn.data.tasks.decoding import SPLITS
from xlearn.runtime.errors import Problem


def class_folders(folder: str, endings: Collection[str], kind: str, example: tuple[str, str]) -> list[tuple[str, str, Path]]:
    """(split, class, file) of every file below `folder` with one of the `endings`, in the order of their paths.

    `folder/<class>/<file>`, or `folder/<split>/<class>/<file>`; without splits all are `train`. Hidden ones are left out.
    `kind` (images, sounds) and `example` (two typical paths) are for messages. Raises `Problem` for a folder that does not
    exist, has fewer than two classes, or mixes splits with classes.
    """
    root = Path(folder).expanduser().resolve()  # the same for all spellings of a folder
    if not root.is_dir():
        raise Problem(f"folder={folder}: there is no such folder. Give a folder that holds one folder per class.")
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in endings and file.is_file())
    pairs = [(file.relative_to(root).parts, file) for file in files]
    found = [(parts[:-1], file) for parts, file in pairs if len(parts) > 1 and not any(part.startswith(".") for part in parts)]
    splits = _splits(found, folder)
    named = [(parts[0], parts[1], file) if splits else ("train", parts[0], file) for parts, file in found]
    classes = {name for _, name, _ in named}
    if len(classes) < 2:
        raise Problem(
            f"folder={folder}: {len(found)} {kind} in {len(classes)} class folders. "
            f"Expected at least two, as in {folder}/{example[0]} and {folder}/{example[1]}."
        )
    return named


def stamp(named: list[tuple[str, str, Path]]) -> str:
    """Identifies the files by their paths, sizes and times."""
    return repr([(str(file), file.stat().st_size, file.stat().st_mtime_ns) for _, _, file in named])


def _splits(found: list[tuple[tuple[str, ...], Path]], folder: str) -> set[str]:
    """The names of the split folders, or none. A folder that holds images itself is a class, even if it is called "test"."""
    below = {parts[0] for parts, _ in found}
    classes = {parts[0] for parts, _ in found if len(parts) == 1}
    splits = {name for name in below - classes if name.lower() in SPLITS}
    if splits and (splits != below or all(SPLITS[name.lower()] != OPEN for name in splits)):
        others = sorted(below - splits)
        beside = f"beside them stand {', '.join(others[:5])}" if others else "none of them is for training"
        raise Problem(
            f"folder={folder}: {', '.join(sorted(splits))} look like splits, but {beside}. "
            f"Expected {folder}/train/<class>/<file>, {folder}/test/<class>/<file> and nothing else, or one folder per class."
        )
    return splits
