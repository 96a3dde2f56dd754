"""Values that stay in memory for later runs of the same process: data sets, their columns, outputs of frozen networks.

A run names its parts (`using`). After it, everything is forgotten that belongs to none of its parts and to none of those that
later runs will name. Memory then depends on what is still needed, not on what was once needed.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

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
