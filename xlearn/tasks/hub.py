"""What `datasets` keeps: names on the hub, and files or splits whose names tell what they are for."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlearn.errors import Problem
from xlearn.storage import cache_root
from xlearn.tasks.decoding import SPLITS


def load_hub(key: str, name: str, config: str | None = None) -> Any:
    """A set by its name on the hub. `key` is the setting that named it, for messages."""
    import datasets

    datasets.disable_progress_bars()
    # Without a network the hub's client tells every attempt; what we say at the end is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return datasets.load_dataset(name, config, cache_dir=str(cache_root() / "datasets"))
    except Exception as error:  # the hub's client raises many kinds, offline and online
        raise Problem(
            f"{key}={name}: no such file or folder here, and not to be had from the hub ({reason(error)}). On a machine that "
            f"reaches it run `datasets.load_dataset({name!r}).save_to_disk('FOLDER')`, bring FOLDER, and name it."
        ) from error


def need_known_splits(key: str, name: str, splits: Sequence[str]) -> None:
    """Raise where one of several splits has a name that does not tell what it is for: it must not become training."""
    unknown = [split for split in splits if split.lower() not in SPLITS]
    if unknown and len(splits) > 1:
        raise Problem(
            f"{key}={name}: its split {unknown[0]!r} could be for training or for testing. Known: {', '.join(SPLITS)}. Rename "
            f"or remove it with `datasets`, use save_to_disk('FOLDER'), and set {key}=FOLDER."
        )


def splits_of(key: str, files: Sequence[Path], root: Path) -> dict[Path, str | None]:
    """As train-00000.parquet, test.csv or test/0000.parquet tell. Either all files tell a split, or none."""
    found: dict[Path, str | None] = {}
    for file in files:
        words = (file.stem.lower().split("-")[0], file.parent.name.lower() if file.parent != root else "")
        found[file] = next((word for word in words if word in SPLITS), None)
    untold = [file for file, split in found.items() if split is None]
    if 0 < len(untold) < len(files):
        raise Problem(
            f"{key}={root}: the name of {untold[0]} tells no split, but those of others do. Known: {', '.join(SPLITS)}. "
            "Rename it, as in test-00000.parquet or test/0000.parquet, or remove it."
        )
    return found


def reason(error: Exception) -> str:
    """Its deepest cause in one line: `datasets` wraps what went wrong in a general sentence."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
