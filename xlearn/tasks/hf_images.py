"""Images through Hugging Face `datasets`: a name on the hub, a saved set, or Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlearn.errors import Problem, nearest
from xlearn.storage import cache_root
from xlearn.tasks import Raw
from xlearn.tasks.decoding import SPLITS, Decoding, decode


def hf_images(
    *,
    name: str,
    config: str | None = None,
    image: str = "image",
    label: str = "label",
    size: int = 32,
    channels: int = 3,
    skip_bad: bool = False,
) -> Raw:
    """A `datasets` name on the hub, a folder written by `save_to_disk`, or a folder or file of Parquet.

    `image` and `label` name the columns. Splits named train, validation and test are kept as such; in a folder of
    Parquet the file's name tells its split, as in `test-00000.parquet`.
    """
    import datasets

    datasets.disable_progress_bars()
    found = _load(name, config)
    splits = dict(found) if isinstance(found, dict) else {"train": found}
    features = next(iter(splits.values())).features
    for key, column in (("image", image), ("label", label)):
        if column not in features:
            raise Problem(f"{key}={column}: {name} has no such column. {nearest(column, features)}")
    kind = features[label]
    if isinstance(kind, datasets.ClassLabel):
        classes = list(kind.names)
        position: dict[Any, int] = {number: number for number in range(len(classes))}
    else:
        values = sorted({value for part in splits.values() for value in part.unique(label)}, key=str)
        classes, position = [str(value) for value in values], {value: number for number, value in enumerate(values)}

    def rows(split: str, part: Any) -> Iterator[tuple[Any, int]]:
        encoded = part.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
        for row in encoded:
            if row[label] not in position:
                raise Problem(f"{name}: split {split} has a row with the label {row[label]!r}, which is no class.")
            yield row[image], position[row[label]]

    stamp = repr([(split, part._fingerprint) for split, part in splits.items()])
    read = {split: rows(split, part) for split, part in splits.items()}
    return decode(read, classes, Decoding(name, size, channels, skip_bad), stamp)


def _load(name: str, config: str | None) -> Any:
    import datasets

    path, cache = Path(name).expanduser(), str(cache_root() / "datasets")
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return datasets.load_from_disk(str(path))
    if path.exists():
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise Problem(f"name={name}: no .parquet file below it. For class folders of images use image_folder.")
        by_split: dict[str, list[str]] = {}
        for file in files:
            split = file.stem.lower().split("-")[0]
            by_split.setdefault(split if split in SPLITS else "train", []).append(str(file))
        return datasets.load_dataset("parquet", data_files=by_split, cache_dir=cache)
    try:
        return datasets.load_dataset(name, config, cache_dir=cache)
    except Exception as error:  # the hub's client raises many kinds, offline and online
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Problem(
            f"name={name}: no such file or folder here, and not to be had from the hub ({reason}). On a machine that "
            f"reaches it run `datasets.load_dataset({name!r}).save_to_disk('FOLDER')`, bring FOLDER, and name it."
        ) from error
