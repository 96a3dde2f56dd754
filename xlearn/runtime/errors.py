"""Errors with messages for the user: the thing, its value and the fix."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from xlearn.runtime.printable import printable

# Names of a folder that a message lists.
FEW = 5


class Problem(Exception):
    """An error that the user can fix. Its text is the whole message; no traceback is shown. Names in it may be of others: their
    control characters are shown, not obeyed.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class Several(Problem):
    """Several problems found at once, each named once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


class Problems(Several):
    """The problems of a configuration, found before a run starts."""


def need_all(checks: Iterable[Callable[[], None]]) -> None:
    """Call all checks. Raises `Several` with the problems that they raise, or the only one as it is."""
    raised: list[Problem] = []
    for check in checks:
        try:
            check()
        except Problem as problem:
            raised.append(problem)
    if len({str(each) for each in raised}) == 1:
        raise raised[0]
    if raised:
        raise Several([sentence for each in raised for sentence in sentences_of(each)])


def sentences_of(problem: Problem) -> list[str]:
    """The problems that an error lists, or its message."""
    return [*problem.problems] if isinstance(problem, Several) else [str(problem)]


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived and the state is saved.

    Not an `Exception`, so that a sweep stops here instead of going on with its next job.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def nearest(word: str, options: Iterable[str], count: int = 3) -> str:
    """A sentence naming the options closest to `word`, or all of them when none is close and they are few."""
    names = sorted({str(option) for option in options})
    close = difflib.get_close_matches(str(word), names, n=count, cutoff=0.5)
    if close:
        return "Did you mean " + " or ".join(repr(name) for name in close) + "?"
    if not names:
        return "Nothing can be set there."
    shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
    return f"Known: {shown}."


def beside(path: str | Path) -> str:
    """A sentence for the end of a message on a path that does not exist: names close to its missing part.

    They are of the nearest folder that exists: at most `FEW`, those with the same ending first, no hidden ones. Raises
    nothing: a folder that cannot be read has a sentence too.
    """
    try:
        wanted = Path(path).expanduser().absolute()
        folder = next(each for each in wanted.parents if each.is_dir())
        lacking = wanted.relative_to(folder).parts
        names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        return f"The folder cannot be read ({error.strerror})."
    except (ValueError, RuntimeError, StopIteration) as error:
        return f"The folder cannot be read ({error})."
    where = f"{folder} has no {'folder' if len(lacking) > 1 else 'file'} {lacking[0]!r}."
    if close := difflib.get_close_matches(lacking[0], names, n=3, cutoff=0.6):
        guess = f"Did you mean {' or '.join(repr(name) for name in close)}?"
        return guess if len(lacking) == 1 else f"{where} {guess}"
    if not names:
        return f"{folder} is empty."
    alike = [name for name in names if Path(name).suffix == wanted.suffix] if wanted.suffix and len(lacking) == 1 else []
    shown = [*alike, *(name for name in names if name not in alike)][:FEW]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{where} It holds {', '.join(map(repr, shown))}{more}."
