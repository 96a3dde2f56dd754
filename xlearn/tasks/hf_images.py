"""Images through Hugging Face `datasets`: a name on the hub, a saved set, or Parquet."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlearn.errors import Problem, nearest
from xlearn.storage import cache_root
from xlearn.tasks import Raw
from xlearn.tasks.decoding import SPLITS, Decoding, decode

PLAIN = {"bool", "string", "large_string", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


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
    Parquet the name of the file or its folder tells the split, as in `test-00000.parquet` or `test/0000.parquet`.
    Raises `Problem` where one of several splits has another name: it must not become training silently.
    """
    import datasets

    datasets.disable_progress_bars()
    # Without a network the hub's client tells every attempt; what we say at the end is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    found = _load(name, config)
    splits = dict(found) if isinstance(found, dict) else {"train": found}
    _check_splits(name, list(splits))
    features = next(iter(splits.values())).features
    for key, column in (("image", image), ("label", label)):
        if column not in features:
            raise Problem(f"{key}={column}: {name} has no such column. {nearest(column, features)}")
    kind = features[label]
    if isinstance(kind, datasets.ClassLabel):
        classes = list(kind.names)
        position: dict[Any, int] = {number: number for number in range(len(classes))}
    else:
        if getattr(kind, "dtype", None) not in PLAIN:
            raise Problem(f"label={label}: that column of {name} holds {kind}. Name one of whole numbers or strings.")
        found_values = {value for part in splits.values() for value in part.unique(label)} - {None}
        # Numbers by size, so that class 10 does not stand before class 2.
        values = sorted(found_values, key=lambda value: (isinstance(value, str), value))
        classes, position = [str(value) for value in values], {value: number for number, value in enumerate(values)}

    def rows(split: str, part: Any) -> Iterator[tuple[Any, int]]:
        try:
            encoded = part.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
        except Exception as error:  # Arrow raises many kinds
            raise Problem(f"image={image}: that column of {name} holds {features[image]}, which is no image.") from error
        for row in encoded:
            if row[label] not in position:
                raise Problem(f"{name}: split {split} has a row with the label {row[label]!r}, which is no class.")
            yield row[image], position[row[label]]

    stamp = repr([(split, part._fingerprint) for split, part in splits.items()])
    read = {split: rows(split, part) for split, part in splits.items()}
    return decode(read, classes, Decoding(name, size, channels, skip_bad), stamp)


def _check_splits(name: str, splits: list[str]) -> None:
    unknown = [split for split in splits if split.lower() not in SPLITS]
    if unknown and len(splits) > 1:
        raise Problem(
            f"name={name}: its split {unknown[0]!r} could be for training or for testing. Known: {', '.join(SPLITS)}. Rename "
            "or remove it with `datasets`, use save_to_disk('FOLDER'), and set name=FOLDER."
        )


def _load(name: str, config: str | None) -> Any:
    import datasets

    path, cache = Path(name).expanduser(), str(cache_root() / "datasets")
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return datasets.load_from_disk(str(path))
    if path.exists():
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise Problem(f"name={name}: no .parquet file below it. For class folders of images use image_folder.")
        by_split = _by_split(files, path)
        try:
            return datasets.load_dataset("parquet", data_files=by_split, cache_dir=cache)
        except Exception as error:  # the reader raises many kinds for damaged and for unequal files
            raise Problem(f"name={name}: its Parquet cannot be read ({_reason(error)}).") from error
    try:
        return datasets.load_dataset(name, config, cache_dir=cache)
    except Exception as error:  # the hub's client raises many kinds, offline and online
        raise Problem(
            f"name={name}: no such file or folder here, and not to be had from the hub ({_reason(error)}). On a machine that "
            f"reaches it run `datasets.load_dataset({name!r}).save_to_disk('FOLDER')`, bring FOLDER, and name it."
        ) from error


def _by_split(files: list[Path], path: Path) -> dict[str, list[str]]:
    """The files of each split. Where no name tells one, all are for training."""
    found: dict[str, list[str]] = {}
    untold = []
    for file in files:
        # test-00000-of-00001.parquet, or test/0000.parquet as the hub converts
        words = (file.stem.lower().split("-")[0], file.parent.name.lower() if file.parent != path else "")
        split = next((word for word in words if word in SPLITS), None)
        untold += [] if split else [file]
        found.setdefault(split or "train", []).append(str(file))
    if untold and len(untold) < len(files):
        raise Problem(
            f"name={path}: the name of {untold[0]} tells no split, but those of others do. Known: {', '.join(SPLITS)}. "
            "Rename it, as in test-00000.parquet or test/0000.parquet, or remove it."
        )
    return found


def _reason(error: Exception) -> str:
    """Its deepest cause in one line: `datasets` wraps what went wrong in a general sentence."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
