"""Means, intervals and tests over seeds. The distributions are scipy's."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
SIGNIFICANT = 0.05


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return float(np.mean(values))


def half_width(values: Sequence[float]) -> float | None:
    """Half-width of the 95 % confidence interval of the mean, `t_{0.975, n - 1} s / sqrt(n)` `s` over n - 1 (Student, 1908).

    None for a single value, which has no spread.
    """
    if len(values) < 2:
        return None
    # Not `scipy.stats`, whose import takes a second.
    from scipy import special

    quantile = special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)
    return float(quantile * np.std(values, ddof=1) / np.sqrt(len(values)))


def paired(values: Sequence[float], others: Sequence[float]) -> float | None:
    """p of the two-sided paired t test (as `scipy.stats.ttest_rel`); `values[i]` and `others[i]` have the same seed.

    None if the test is undefined: fewer than two pairs, a value that is not finite, or differences that are all
    equal up to rounding, because then t divides by zero.
    """
    if len(values) != len(others):
        raise ValueError(f"{len(values)} values against {len(others)}: they must come in pairs.")
    first, second = np.asarray(values, dtype=float), np.asarray(others, dtype=float)
    if len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    scale = max(np.abs(first).max(), np.abs(second).max())
    if np.ptp(first - second) <= 1e-12 * scale:
        return None
    from scipy import special

    differences = first - second
    t = differences.mean() / np.sqrt(differences.var(ddof=1) / len(differences))
    return float(2 * special.stdtr(len(differences) - 1, -abs(t)))


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): `max_{j <= k} min(1, (m - j + 1) p_(j))` for the k-th
    smallest of m. None (no test) stays None and does not count in m.
    """
    tested = sorted((each, position) for position, each in enumerate(probabilities) if each is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    highest = 0.0
    for rank, (probability, position) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * probability))
        corrected[position] = highest
    return corrected
