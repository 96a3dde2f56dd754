"""How far a phase has got: a bar in the terminal, or messages to the process that started this one."""

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

# Seconds between two messages of a phase.
EVERY = 0.5
# Where a worker of a sweep sends (phase, step, steps).
_send: Callable[[tuple[str, int, int]], None] | None = None


def send_to(receive: Callable[[tuple[str, int, int]], None] | None) -> None:
    """Send messages from now on, instead of drawing bars; None: draw bars."""
    global _send
    _send = receive


class Sent:
    """A bar that sends its position."""

    def __init__(self, receive: Callable[[tuple[str, int, int]], None], phase: str, step: int, steps: int) -> None:
        self.receive, self.phase, self.step, self.steps, self.clock = receive, phase, step, steps, 0.0

    def __enter__(self) -> "Sent":
        return self

    def __exit__(self, *error: object) -> None:
        self.receive((self.phase, self.step, self.steps))

    def update(self) -> None:
        self.step += 1
        if (now := time.monotonic()) - self.clock > EVERY:
            self.clock = now
            self.receive((self.phase, self.step, self.steps))

    def set_postfix(self, *values: Any, **options: Any) -> None:
        """Losses and scores are not sent."""


def bar(phase: str, step: int, steps: int) -> "tqdm[Any] | Sent":
    """A context of a phase that stands at `step` of `steps`; `update()` counts one more."""
    if _send is not None:
        return Sent(_send, phase, step, steps)
    return tqdm(total=steps, initial=step, desc=phase, unit="step", disable=None, leave=False, file=sys.__stderr__)
