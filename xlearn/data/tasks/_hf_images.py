"""Images through Hugging Face `datasets`: a name on the hub, a saved set, or Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlearn.data.tasks import Raw
from xlearn.data.tasks.decoding import Decoding, read_pictures
from xlearn.data.tasks.hub import load_hub, need_known_splits, reason, splits_of
from xlearn.data.tasks.listing import Listing
from xlearn.data.tasks.owners import owners
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.storage import cache_root

PLAIN = {"bool", "string", "large_string", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def hf_images(
    *,
    name: str,
    config: str | None = None,
    image: str = "image",
    label: str = "label",
    size: int | None = None,
    channels: int = 3,
    background: str = "white",
    split_by: str | None = None,
    skip_bad: bool = False,
) -> Raw:
    """A `datasets` name on the hub, a folder written by `save_to_disk`, or a folder or file of Parquet.

    `image` and `label` name the columns, `split_by` one whose values are the owners of the rows: rows of one owner stay on one
    side of every split. Images are read as by `image_folder`. Splits named train, validation and test are kept as such; in a
    folder of Parquet the name of the file or its folder gives the split, as in `test-00000.parquet` or `test/0000.parquet`.
    Raises `Problem` if one of several splits has another name, because it must not become training data silently.
    """
    import datasets

    datasets.disable_progress_bars()
    found = _load(name, config)
    splits = dict(found) if isinstance(found, dict) else {"train": found}
    need_known_splits("name", name, list(splits))
    features = next(iter(splits.values())).features
    for key, column in (("image", image), ("label", label), ("split_by", split_by)):
        if column is not None and column not in features:
            raise Problem(f"{key}={column}: {name} has no such column. {nearest(column, features)}")
    kind = features[label]
    if isinstance(kind, datasets.ClassLabel):
        classes = list(kind.names)
        position: dict[Any, int] = {number: number for number in range(len(classes))}
    else:
        if getattr(kind, "dtype", None) not in PLAIN:
            raise Problem(f"label={label}: that column of {name} holds {kind}. Name one of whole numbers or strings.")
        found_values = {value for part in splits.values() for value in part.unique(label)} - {None}
        # In numeric order, so that class 2 comes before class 10.
        values = sorted(found_values, key=lambda value: (isinstance(value, str), value))
        classes, position = [str(value) for value in values], {value: number for number, value in enumerate(values)}

    names, labels, words = [], [], []
    for split, part in splits.items():
        for number, value in enumerate(part[label]):
            if value not in position:
                raise Problem(f"{name}: split {split} has a row with the label {value!r}, which is no class.")
            names.append(f"row {number} of split {split}")
            labels.append(position[value])
            words.append(split)
    owner = None if split_by is None else owners([value for part in splits.values() for value in part[split_by]])
    listing = Listing(classes, labels, words, names, owner=owner)

    def pictures() -> Iterator[Any]:
        for part in splits.values():
            try:
                encoded = part.select_columns([image]).cast_column(image, datasets.Image(decode=False))
            except Exception as error:  # Arrow raises many kinds
                raise Problem(f"image={image}: that column of {name} holds {features[image]}, which is no image.") from error
            for row in encoded:
                yield row[image]

    stamp = repr([(split, part._fingerprint) for split, part in splits.items()])
    read = read_pictures(pictures(), names, Decoding(name, size, channels, skip_bad, background), stamp, repr((image, label)))
    content, near = {"image": read.content}, {"image": read.near}
    return listing.raw("image", read.images, read.rows, read.origin, content=content, near=near, notes=read.notes)


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
        for file, split in splits_of("name", files, path).items():
            by_split.setdefault(split or "train", []).append(str(file))
        try:
            return datasets.load_dataset("parquet", data_files=by_split, cache_dir=cache)
        except Exception as error:  # the reader raises many kinds for damaged and for unequal files
            raise Problem(f"name={name}: its Parquet cannot be read ({reason(error)}).") from error
    return load_hub("name", name, config)
