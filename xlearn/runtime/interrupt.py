"""SIGINT and SIGTERM: requests to stop, checked between two steps."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

_asked: int | None = None
_listening = False


def asked() -> int | None:
    """The signal that asked to stop, or None."""
    return _asked


def ask(number: int) -> None:
    """Ask this process to stop after its step, as the signal of this number does."""
    global _asked
    _asked = number


@contextmanager
def listening(numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
    """Record the first of these signals; a second one acts at once. Inside another `listening` it changes nothing, so that a
    request is valid until the end of the command. Only the main thread gets signals, so others record nothing.
    """
    global _asked, _listening
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked, _listening = None, True
    before = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, frame: FrameType | None) -> None:
        ask(number)
        os.write(2, b"\nstopping after this step; once more to stop at once\n")
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        _asked, _listening = None, False
        for number, handler in before.items():
            signal.signal(number, handler)
