"""Values that stay in memory for later runs of the same process: data sets, their columns, outputs of frozen networks.

A run names its parts (`using`). After it, everything is forgotten that belongs to none of its parts and to none of those that
later runs will name. Memory then depends on what is still needed, not on what was once needed.
"""

import os
import resource
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from xlearn.runtime.errors import Problem

Value = TypeVar("Value")

_parts: frozenset[str] = frozenset()
_all: "weakref.WeakSet[Kept[Any]]" = weakref.WeakSet()


class Kept(Generic[Value]):
    """Values by key. `most`: the number of values that stay; those that were asked for last."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._values: dict[Any, tuple[Value, frozenset[str]]] = {}
        _all.add(self)

    def __call__(self, key: Any, make: Callable[[], Value]) -> Value:
        """The value of this key, made if it is missing."""
        if key in self._values:
            value, parts = self._values.pop(key)
        else:
            value, parts = make(), frozenset()
        self._values[key] = (value, parts | _parts)
        if self.most is not None and len(self._values) > self.most:
            del self._values[next(iter(self._values))]
        return value

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        self._values.clear()

    def keep(self, parts: frozenset[str]) -> None:
        """Forget every value that was asked for by none of these parts."""
        self._values = {key: each for key, each in self._values.items() if each[1] & parts}


@contextmanager
def using(parts: frozenset[str], later: frozenset[str] = frozenset()) -> Iterator[None]:
    """The parts of the run in the block. After it, values stay that belong to these parts or to those of `later` runs."""
    global _parts
    _parts = parts
    try:
        yield
    finally:
        _parts = frozenset()
        for each in _all:
            each.keep(parts | later)


def available() -> int:
    """Bytes of memory that this process can still get: of the machine (on Linux with reclaimable file caches), of its control
    group (a container) and under its own limit (`ulimit -v`).
    """
    return min(_of_machine(), _of_group(), _of_process())


def need_memory(needed: int, what: str, fix: str) -> None:
    """Raise `Problem` if `what` needs more bytes than there are. `fix`: a sentence."""
    if needed > (there := available()):
        raise Problem(f"{what} need {needed / 1e9:,.2f} GB of memory, and {there / 1e9:,.2f} GB are available. {fix}")


def _of_machine() -> int:
    try:
        found = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_group() -> int:
    """Version 2 of control groups, as containers see their own. Its file caches count as available."""
    group = Path("/sys/fs/cgroup")
    try:
        most, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        state = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(state.get("inactive_file", 0)) + int(state.get("active_file", 0)))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return 2**63


def _of_process() -> int:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return 2**63
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        used = 0
    return max(0, most - used)
