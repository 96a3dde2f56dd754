"""Data sets of Hugging Face `datasets` by their names on the hub, and splits by the names of files."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlearn.data.tasks.decoding import SPLITS
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import cache_root


def load_hub(key: str, name: str, config: str | None = None) -> Any:
    """A data set by its name on the hub. `key` is the setting with this name, for messages."""
    import datasets
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    datasets.disable_progress_bars()
    # Without a network the hub's client logs every attempt; the message at the end is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    away: Exception | None = None
    try:
        ask_hub(hf_hub_url(name, "README.md", repo_type="dataset"))
    except HfHubHTTPError:
        pass  # the hub answers; the loader will raise the same error
    except Exception as error:  # the hub's client raises many kinds
        away = error
    try:
        with _offline(away is not None):
            return datasets.load_dataset(name, config, cache_dir=str(cache_root() / "datasets"))
    except Exception as error:  # many kinds too, offline and online
        error = away or error
        raise Problem(
            f"{key}={name}: no such file or folder here, and not available from the hub ({reason(error)}). On a machine "
            f"with access to it run `datasets.load_dataset({name!r}).save_to_disk('FOLDER')`. Copy FOLDER here and set "
            f"{key}=FOLDER."
        ) from error


def ask_hub(url: str) -> None:
    """One short request to the hub. The loaders themselves would try six times, and wait 23 seconds without a network."""
    from huggingface_hub import constants, get_hf_file_metadata

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    get_hf_file_metadata(url, timeout=5)


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Within, if `wanted`, `datasets` reads only its cache and sends no requests."""
    import datasets

    if not wanted:
        yield
        return
    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def need_known_splits(key: str, name: str, splits: Sequence[str]) -> None:
    """Raise `Problem` if one of several splits has an unknown name, because it must not become training data."""
    unknown = [split for split in splits if split.lower() not in SPLITS]
    if unknown and len(splits) > 1:
        raise Problem(
            f"{key}={name}: its split {unknown[0]!r} could be for training or for testing. Known: {', '.join(SPLITS)}. Rename "
            f"or remove it with `datasets`, use save_to_disk('FOLDER'), and set {key}=FOLDER."
        )


def splits_of(key: str, files: Sequence[Path], root: Path) -> dict[Path, str | None]:
    """The split of each file by its name or folder, as in train-00000.parquet, test.csv or test/0000.parquet. Either all files
    have a split, or none; otherwise raises `Problem`.
    """
    found: dict[Path, str | None] = {}
    for file in files:
        words = (
            Path(file.name.lower().removesuffix(".gz")).stem.split("-")[0],
            file.parent.name.lower() if file.parent != root else "",
        )
        found[file] = next((word for word in words if word in SPLITS), None)
    without_split = [file for file, split in found.items() if split is None]
    if 0 < len(without_split) < len(files):
        raise Problem(
            f"{key}={root}: {without_split[0]} has no split in its name, but other files have. Known: {', '.join(SPLITS)}. "
            "Rename it, as in test-00000.parquet or test/0000.parquet, or remove it."
        )
    return found


def reason(error: Exception) -> str:
    """The error's deepest cause in one line, because `datasets` wraps causes in general sentences."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
