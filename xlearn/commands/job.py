"""One run in its folder: read the finished result, or compute it, or write `error.txt`."""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlearn.commands.order import parts_of
from xlearn.config.schema import identity
from xlearn.results.files import RESULT, LaterFormat, add_names, read_result
from xlearn.results.plain import need_run
from xlearn.runtime.errors import Problem, Problems
from xlearn.runtime.fingerprints import stamp
from xlearn.runtime.hashing import digest
from xlearn.runtime.locks import locked
from xlearn.runtime.memory import using
from xlearn.runtime.storage import write_text

if TYPE_CHECKING:
    from xlearn.runtime.cache import Cache

ERROR = "error.txt"
# The lock of a run's folder, and the log of a sweep's job.
LOCK, LOG = ".lock", "log.txt"
# What a folder holds before its run has begun.
UNBEGUN = {".hydra", LOCK, LOG}


class Taken(Problem):
    """The folder holds the result of another run; it is not overwritten."""


class Unexpected(Problem):
    """An exception other than `Problem`; its traceback is in `error.txt`."""


def run(
    content: dict[str, Any],
    folder: Path,
    multirun: bool,
    command: str = "",
    later: frozenset[str] = frozenset(),
    announce: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], bool]:
    """(the result, whether it was finished before). `content`: the composed configuration with its `choices`; `command`: its id
    (see `xlearn.pipeline.Run`); `later`: the parts of data that later runs of this process need (see `xlearn.runtime.memory`);
    `announce`: called with a line before training.

    One process at a time writes into a folder. Another one that starts the same run waits, and finds the result.
    """
    if not content["force"] and (earlier := finished(folder, content)) is not None:
        return _asked(earlier, content, folder), True
    with locked(folder / LOCK, f"computing {shown(folder)}") as waited:
        if waited and not content["force"] and (earlier := finished(folder, content)) is not None:
            return _asked(earlier, content, folder), True
        with using(parts_of(content), later):
            return execute(content, folder, multirun, command, announce=announce), False


def _asked(result: dict[str, Any], content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The result under the names of `content`: it may have been computed under others that compose to the same."""
    if result["choices"] == content["choices"]:
        return result
    add_names(folder, result["choices"], content["choices"])
    return {**result, "choices": content["choices"]}


@contextmanager
def failures(folder: Path, words: bool) -> Iterator[None]:
    """Writes any exception of the block to the folder's `error.txt`, and raises it as a `Problem`.

    `words`: whether to write errors in the command's overrides too (`Problems`, raised before the run starts). Nothing is
    written into the folder of another run (`Taken`).
    """
    try:
        yield
    except Problem as problem:
        if is_written(problem, words):
            write_text(folder / ERROR, f"{problem}\n")
        raise
    except Exception as error:
        write_text(folder / ERROR, traceback.format_exc())
        told = f"unexpected {type(error).__name__}: {str(error).rstrip('.')}. The traceback is in {shown(folder)}/{ERROR}."
        raise Unexpected(told) from error


def is_written(problem: Problem, words: bool) -> bool:
    return not isinstance(problem, Taken) and (words or not isinstance(problem, Problems))


def finished(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """The result in this folder; None if there is none, or if it was computed with other code or data files.

    `result.json` is written last, so an existing one is complete. Raises `Taken` for the result of another configuration.
    """
    try:
        result = read_result(folder)
        if result is not None:
            need_run(result, folder / RESULT)
    except LaterFormat as problem:
        raise Taken(str(problem)) from problem
    except (ValueError, KeyError, TypeError, AttributeError, Problem):
        print(f"note: {shown(folder)}/{RESULT} is damaged or incomplete; it is computed again.", file=sys.stderr)
        return None
    if result is None:
        return None
    if digest(identity(result.get("config") or {})) != digest(identity(config)):
        raise Taken(f"{shown(folder)} holds the result of another configuration. Choose another folder, or delete it.")
    if result.get("stamp") != stamp(config):
        print(f"note: {shown(folder)} was computed with other code or data files; it is computed again.", file=sys.stderr)
        return None
    return result


def execute(
    content: dict[str, Any],
    folder: Path,
    multirun: bool,
    command: str = "",
    cache: "Cache | None" = None,
    small: bool = False,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Build everything, then run it. The new result replaces an earlier one and deletes `error.txt`."""
    from xlearn.pipeline import Run
    from xlearn.plan.build import build
    from xlearn.runtime.cache import Cache
    from xlearn.runtime.interrupt import listening
    from xlearn.runtime.machine import machine

    with listening():
        components = build(content)
        place = machine(content["device"], content["precision"], content["threads"], multirun)
        result = Run(components, content, place, folder, cache or Cache(), command, small, announce)()
    (folder / ERROR).unlink(missing_ok=True)
    return result


def shown(folder: Path) -> Path:
    """The folder, relative to the working directory if it lies below it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
