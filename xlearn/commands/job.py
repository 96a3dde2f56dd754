"""The life of a job: its configuration in its folder, finished before or computed now, or failed with a reason."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlearn.config.schema import identity
from xlearn.results.files import LaterFormat, read_result
from xlearn.runtime.errors import Problem, Problems
from xlearn.runtime.fingerprints import stamp
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import write_text

if TYPE_CHECKING:
    from xlearn.runtime.cache import Cache

ERROR = "error.txt"


class Taken(Problem):
    """The folder holds the result of another run: nothing may be written there."""


class Unexpected(Problem):
    """Something that no sentence was written for; the traceback is in a file."""


def run(
    content: dict[str, Any], folder: Path, multirun: bool, recomputed: set[str] | None = None
) -> tuple[dict[str, Any], bool]:
    """(the result, whether it was there before). `content`: the composed configuration with its `choices`; `recomputed`: as in
    `xlearn.pipeline.Run`.
    """
    earlier = finished(folder, content)
    if earlier is not None and not content["force"]:
        return earlier, True
    return execute(content, folder, multirun, recomputed), False


@contextmanager
def failures(folder: Path, words: bool) -> Iterator[None]:
    """Within, a failure is written to the folder's `error.txt` and goes on as a `Problem`, whatever it was.

    `words`: whether wrong words of a command, with which nothing was begun, are written too. Nothing is written into the
    folder of another run.
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
    """The result in this folder, or None if there is none, or one of other code or other files.

    `result.json` is written last, so that it is whole if it is there. Raises `Taken` for another configuration's.
    """
    try:
        result = read_result(folder)
    except ValueError:
        return None
    except LaterFormat as problem:
        raise Taken(str(problem)) from problem
    if result is None:
        return None
    if digest(identity(result.get("config") or {})) != digest(identity(config)):
        raise Taken(f"{shown(folder)} holds the result of another configuration. Choose another folder, or delete it.")
    if result["stamp"] != stamp(config):
        print(f"note: {shown(folder)} is of other code or other files; it is computed again.", file=sys.stderr)
        return None
    return result


def execute(
    content: dict[str, Any], folder: Path, multirun: bool, recomputed: set[str] | None = None, cache: "Cache | None" = None,
    small: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Build everything, then run it. An earlier result stays until there is a new one; then an `error.txt` goes."""
    from xlearn.pipeline import Run
    from xlearn.plan.build import build
    from xlearn.runtime.cache import Cache
    from xlearn.runtime.interrupt import listening
    from xlearn.runtime.machine import machine

    with listening():
        components = build(content)
        place = machine(content["device"], content["precision"], content["threads"], multirun)
        result = Run(components, place, folder, cache or Cache(), set() if recomputed is None else recomputed, small)()
    (folder / ERROR).unlink(missing_ok=True)
    return result


def shown(folder: Path) -> Path:
    """The folder as a person would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
