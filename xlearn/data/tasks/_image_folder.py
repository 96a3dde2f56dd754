"""The user's own images, one folder per class."""

from pathlib import Path

from xlearn.data.tasks import Raw
from xlearn.data.tasks.class_folders import Kind, class_folders, stamp
from xlearn.data.tasks.decoding import Decoding, read_pictures
from xlearn.data.tasks.pictures import endings


def image_folder(
    *,
    folder: str,
    size: int | None = None,
    channels: int = 3,
    background: str = "white",
    class_names: list[str] | None = None,
    split_by: int | str | None = None,
    skip_bad: bool = False,
) -> Raw:
    """`folder/<class>/<file>`, `folder/<split>/<class>/<file>` or `folder/<class>/<split>/<file>` with splits named train, val
    and test (or a usual synonym).

    Images become `channels` x `size` x `size` (null: 32; in a run: the size that the encoder wants), as a viewer shows them:
    upright, the first frame, `background` (a colour) behind transparent parts. A file that is not an image raises `Problem`
    with its name, unless `skip_bad`, and so does a class folder of which no file can be read. Files with other endings, hidden
    ones and so on are counted in the notes. Two folders with the same class names have the same label space.

    Files in a folder called `unlabeled` in the place of a class have no label; a folder of files only has none at all, and
    needs `class_names`, all classes there are. `split_by` says which files have one owner, and stay on one side of every split:
    the folder of this number below the class (1: `class/owner/file`), or a pattern of the path (its first group).

    The name of the task is that of its configuration file. For two folders at once, as in `source=[cats,birds]`, write a YAML
    file for each (`task/cats.yaml`, `task/birds.yaml`) into a folder, and pass it with `--config-dir`.
    """
    how = Decoding(str(Path(folder)), size, channels, skip_bad, background)
    how.check()
    kind = Kind("images", endings(), ("cat/1.png", "dog/1.png"))
    files, listing = class_folders(folder, kind, class_names, split_by, skip_bad)
    found = read_pictures(map(str, files), listing.names, how, stamp(files))
    content, near = {"image": found.content}, {"image": found.near}
    return listing.raw("image", found.images, found.rows, found.origin, content=content, near=near, notes=found.notes)
