"""Two steps in turns: a ratio that holds when the machine's speed drifts."""

import statistics
from collections.abc import Callable

# The first turns, which are not counted.
WARM_UP = 5


def ratio(one: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """(median of the ratios of two steps that follow each other, and the median of each); a step gives its milliseconds."""
    pairs = []
    for turn in range(WARM_UP + rounds):
        if turn % 2:
            first = one()
            pairs.append((first, other()))
        else:
            second = other()
            pairs.append((one(), second))
    pairs = pairs[WARM_UP:]
    mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    return statistics.median(a / b for a, b in pairs), mine, theirs
