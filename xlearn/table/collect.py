"""Folders of runs to records: configuration, and result or failure. Imports nothing heavy."""

import gc
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlearn.config.schema import own_choices
from xlearn.config.upgraded import upgraded, upgraded_choices
from xlearn.results.files import RESULT, LaterFormat, read_result
from xlearn.results.plain import need_run, read_configuration
from xlearn.runtime.errors import Problem

HYDRA = ".hydra"
# Bytes of a reason of failure that are read, from its end.
LONGEST = 20_000
# Mappings that the configuration of every run has.
RUN = ("target", "source", "transfer")


@dataclass(frozen=True)
class Record:
    """One run. `result`: None unless it finished. `failure`: the reason why it failed; None if it only did not finish.

    `sweep`: the label of its sweep, in a table of several sweeps. `computed_as`: the choices under which it was computed, if
    `choices` are other options that compose to the same configuration.
    """

    folder: Path
    config: dict[str, Any]
    choices: dict[str, Any]
    result: dict[str, Any] | None = None
    failure: str | None = None
    sweep: str | None = None
    computed_as: dict[str, Any] | None = None


def collect(folders: Iterable[Path]) -> list[Record]:
    """Every run in and below `folders`, each folder once, sorted by path.

    A folder is a run's if it holds `result.json` (finished), `error.txt` (failed) or `.hydra` (started: missing).
    Results of earlier versions are read with present names; those of a later version are left out, with one note.
    Raises `Problem` for unreadable files of a finished or failed run.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        for name, inner, files in os.walk(folder):
            place = Path(name)
            started = HYDRA in inner and (place / HYDRA / "config.yaml").is_file()
            if started or RESULT in files or "error.txt" in files:
                found.setdefault(place.resolve(), place)
            inner[:] = [each for each in inner if each != HYDRA]
    records, later = [], []
    with _without_garbage_collection():
        for place in sorted(found.values()):
            try:
                records.append(_record(place))
            except LaterFormat as problem:
                later.append(str(problem))
    if later:
        print(f"note: {len(later)} result(s) left out: {later[0]}", file=sys.stderr)
    return records


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """While thousands of results are read, which all stay, it would search them again and again: a fifth of a table's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _record(folder: Path) -> Record:
    file = folder / RESULT
    try:
        result = read_result(folder)
    except ValueError as error:
        raise Problem(f"{file} cannot be read ({error}). Delete it and repeat the run.") from error
    if result is not None:
        need_run(result, file)
        return Record(folder, result["config"], result["choices"], result)
    config, choices = _composed(folder)
    error = folder / "error.txt"
    failure = _reason(error) if error.is_file() else None
    return Record(folder, config, choices, failure=failure or ("no reason was written" if error.is_file() else None))


def _reason(file: Path) -> str:
    """The end of a reason of failure, which may be long, and not of xlearn."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - LONGEST))
        return stream.read(LONGEST).decode("utf-8", "replace").strip()


def _composed(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(configuration, choices) of an unfinished run, from its `.hydra`."""
    try:
        config = read_configuration(folder / HYDRA / "config.yaml")
        hydra = read_configuration(folder / HYDRA / "hydra.yaml")
        choices = hydra["hydra"]["runtime"]["choices"]
        config, choices = upgraded(config), upgraded_choices(own_choices(choices))
        if wrong := [name for name in RUN if not isinstance(config.get(name), dict)]:
            raise ValueError(f"config.yaml has no {wrong[0]}")
        return config, choices
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            f"{folder} holds a run that did not finish, and {folder}/.hydra does not say which one "
            f"({type(error).__name__}: {error}). Delete the folder, or name others."
        ) from error
