"""What all comparisons are: components that decide by the facts of a run which networks are trained beside its own."""

from collections.abc import Iterator
from typing import Any


class Comparison:
    """A comparison. Called with the plan of a run, yields the compared networks, if any (see `xlearn.learners.comparisons`)."""

    def __call__(self, plan: Any) -> Iterator[Any]:
        raise NotImplementedError
