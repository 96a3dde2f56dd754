"""The user's own images, one folder per class."""

from pathlib import Path

from xlearn.data.tasks import Raw
from xlearn.data.tasks.class_folders import class_folders, stamp
from xlearn.data.tasks.decoding import Decoding, decode

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def image_folder(*, folder: str, size: int = 32, channels: int = 3, skip_bad: bool = False) -> Raw:
    """`folder/<class>/<file>`, or `folder/<split>/<class>/<file>` with splits named train, val and test (or a usual synonym).

    Images become `channels` x `size` x `size`. A file that is not an image raises `Problem` with its name, unless `skip_bad`.
    Two folders with the same class names have the same label space. Hidden files and folders are left out.

    The name of the task is that of its configuration file. For two folders at once, as in `source=[cats,birds]`, write a YAML
    file for each (`task/cats.yaml`, `task/birds.yaml`) into a folder, and pass it with `--config-dir`.
    """
    named = class_folders(folder, ENDINGS, "images", ("cat/1.png", "dog/1.png"))
    classes = sorted({name for _, name, _ in named})
    rows: dict[str, list[tuple[str, int]]] = {split: [] for split, _, _ in named}
    for split, name, file in named:
        rows[split].append((str(file), classes.index(name)))
    return decode(rows, classes, Decoding(str(Path(folder).expanduser()), size, channels, skip_bad), stamp(named))
