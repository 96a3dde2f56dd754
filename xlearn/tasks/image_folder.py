"""The user's own images, one folder per class."""

from pathlib import Path

from xlearn.errors import Problem
from xlearn.tasks import OPEN, Raw
from xlearn.tasks.decoding import SPLITS, Decoding, decode

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def image_folder(*, folder: str, size: int = 32, channels: int = 3, skip_bad: bool = False) -> Raw:
    """`folder/<class>/<file>`, or `folder/<split>/<class>/<file>` with splits named train, val and test (or as usual).

    Images become `channels` x `size` x `size`. A file that is no image stops with its name, unless `skip_bad`. Two
    folders with the same class names have the same label space.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise Problem(f"folder={folder}: there is no such folder. Give a folder that holds one folder per class.")
    below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    # Only if every folder is a split, and one is for training: a class may well be called "test".
    splits = {path.name: path for path in below if path.name.lower() in SPLITS}
    if len(splits) < len(below) or not any(SPLITS[name.lower()] == OPEN for name in splits):
        splits = {"train": root}
    files = {name: _images(path) for name, path in splits.items()}
    everything = [file for found in files.values() for file in found]
    classes = sorted({file.parent.name for file in everything})
    if len(classes) < 2:
        raise Problem(
            f"folder={folder}: {len(everything)} images in {len(classes)} class folders. "
            f"Expected at least two, as in {folder}/cat/1.png and {folder}/dog/1.png."
        )
    position = {name: number for number, name in enumerate(classes)}
    rows = {name: [(str(file), position[file.parent.name]) for file in found] for name, found in files.items()}
    stamp = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in everything]
    return decode(rows, classes, Decoding(str(root), size, channels, skip_bad), repr(stamp))


def _images(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
    return [file for file in files if file.parent != folder and not file.name.startswith(".")]
