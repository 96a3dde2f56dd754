"""Errors with messages for the user: the thing, its value and the fix."""

import difflib
from collections.abc import Iterable, Sequence


class Problem(Exception):
    """An error that the user can fix. Its text is the whole message; no traceback is shown."""


class Problems(Problem):
    """Several problems found at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


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
