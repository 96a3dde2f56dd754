"""SIGINT and SIGTERM: requests to stop, checked between two steps."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked: int | None = None


def asked() -> int | None:
    """The signal that asked to stop, or None."""
    return _asked


@contextmanager
def listening() -> Iterator[None]:
    """Record the first SIGINT or SIGTERM; a second one acts at once. Only the main thread gets signals, so others record
    nothing.
    """
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked = None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        global _asked
        _asked = number
        os.write(2, b"\nstopping after this step; once more to stop at once\n")
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        _asked = None
        for number, handler in before.items():
            signal.signal(number, handler)
