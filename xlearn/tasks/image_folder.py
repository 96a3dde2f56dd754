"""The user's own images, one folder per class."""

from pathlib import Path

from xlearn.errors import Problem
from xlearn.tasks import OPEN, Raw
from xlearn.tasks.decoding import SPLITS, Decoding, decode

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def image_folder(*, folder: str, size: int = 32, channels: int = 3, skip_bad: bool = False) -> Raw:
    """`folder/<class>/<file>`, or `folder/<split>/<class>/<file>` with splits named train, val and test (or as usual).

    Images become `channels` x `size` x `size`. A file that is no image stops with its name, unless `skip_bad`. Two
    folders with the same class names have the same label space. Hidden files and folders are left out.

    The task's name is that of its configuration's file. For two folders at once, as in `source=[cats,birds]`, write a
    YAML for each (`task/cats.yaml`, `task/birds.yaml`) into a folder of your own, and give it by `--config-dir`.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise Problem(f"folder={folder}: there is no such folder. Give a folder that holds one folder per class.")
    found = _images(root)
    splits = _splits(found, folder)
    rows_of: dict[str, list[tuple[Path, str]]] = {}
    for parts, file in found:
        split, name = (parts[0], parts[1]) if splits else ("train", parts[0])
        rows_of.setdefault(split, []).append((file, name))
    classes = sorted({name for rows in rows_of.values() for _, name in rows})
    if len(classes) < 2:
        raise Problem(
            f"folder={folder}: {len(found)} images in {len(classes)} class folders. "
            f"Expected at least two, as in {folder}/cat/1.png and {folder}/dog/1.png."
        )
    position = {name: number for number, name in enumerate(classes)}
    read = {split: [(str(file), position[name]) for file, name in rows] for split, rows in rows_of.items()}
    stamp = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for _, file in found]
    return decode(read, classes, Decoding(str(root), size, channels, skip_bad), repr(stamp))


def _images(root: Path) -> list[tuple[tuple[str, ...], Path]]:
    """(folders below `root`, file) of every image in a folder, in the order of their paths."""
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    found = [(file.relative_to(root).parts, file) for file in files]
    return [(parts[:-1], file) for parts, file in found if len(parts) > 1 and not any(part.startswith(".") for part in parts)]


def _splits(found: list[tuple[tuple[str, ...], Path]], folder: str) -> set[str]:
    """The names of the split folders, or none. A folder that holds images itself is a class, be it called "test"."""
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
