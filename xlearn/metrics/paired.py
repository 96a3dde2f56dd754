"""The difference of two predictions of the same examples, with its 95 % interval over the examples."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

CONFIDENCE = 0.95
# Resamples of the bootstrap: the ends of its interval are the 13th value from below and from above.
RESAMPLES = 500


class Difference(NamedTuple):
    """`value`: first minus second; `low`, `high`: the ends of its interval, None where it is undefined."""

    value: float
    low: float | None
    high: float | None

    def turned(self) -> "Difference":
        """Second minus first."""
        return Difference(-self.value, None if self.high is None else -self.high, None if self.low is None else -self.low)


def student(first: Tensor, second: Tensor) -> Difference:
    """The interval of the mean difference of paired values, `float64 [n]` each: `mean(d) -+ t_{.975, n - 1} s / sqrt(n)` of the
    differences d, `s` over n - 1 (Student, 1908). Undefined for one value, and for values that are not finite.
    """
    difference = first.double() - second.double()
    count, value = len(difference), float(difference.mean())
    if count < 2 or not math.isfinite(value):
        return Difference(value, None, None)
    # Not `scipy.stats`, whose import takes a second.
    from scipy import special

    quantile = float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(difference.std()) / math.sqrt(count)
    return Difference(value, value - half, value + half)


def over_constant(first: Tensor, second: Tensor) -> Difference:
    """The interval of the mean difference of the values of a network and of a prediction that reads no input, `float64 [n]`.

    `student`, but for values that are all 0 or 1 (wrong or right): the second is right in n1 examples and wrong in n0; as
    splits are stratified, these numbers are given. The first is right in a share p of the n0 and wrong in a share q of the n1:
    `(n0 p - n1 q) / n` is a linear function of two independent proportions, with the adjusted interval of Price & Bonett
    (Computational Statistics & Data Analysis 45, 2004): a success and a failure are added to each, `p~ = (f + 1) / (n_j + 2)`,
    and the half-width is `z_{.975} sqrt(sum_j (n_j / n)^2 p~_j (1 - p~_j) / (n_j + 2))`. It keeps its coverage where few
    examples differ.
    """
    if not bool(((first == 0) | (first == 1)).all() and ((second == 0) | (second == 1)).all()):
        return student(first, second)
    difference = first.double() - second.double()
    count, middle, spread = len(difference), 0.0, 0.0
    for sign, given in ((1, difference[second == 0]), (-1, difference[second == 1])):
        share = (float(given.abs().sum()) + 1) / (len(given) + 2)
        middle += sign * len(given) / count * share
        spread += (len(given) / count) ** 2 * share * (1 - share) / (len(given) + 2)
    half = _normal() * math.sqrt(spread)
    return Difference(float(difference.mean()), middle - half, middle + half)


def by_bootstrap(difference: Callable[[Tensor], float], count: int, seed: int) -> Difference:
    """The percentile interval of a difference of two statistics, by the paired bootstrap (Efron & Tibshirani, 1993, 13.3).

    `difference(rows)`: the statistic of the first minus that of the second on these rows, `int64 [count]`, drawn with
    replacement from `count` examples.
    """
    value = difference(torch.arange(count))
    generator = torch.Generator().manual_seed(seed)
    drawn = [difference(torch.randint(count, (count,), generator=generator)) for _ in range(RESAMPLES)]
    if not all(map(math.isfinite, drawn)):
        return Difference(value, None, None)
    ends = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)
    low, high = torch.tensor(drawn, dtype=torch.float64).quantile(ends).tolist()
    return Difference(value, low, high)


def _normal() -> float:
    return float(torch.special.ndtri(torch.tensor((1 + CONFIDENCE) / 2, dtype=torch.float64)))
