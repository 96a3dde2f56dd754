"""Crossed designs: cells whose runs cross draws of labels and split (`target.draw`) with seeds.

Variance components by the method of moments, and the error of a mean by a crossed bootstrap. Only numpy and scipy's functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xlearn.table.statistics import CONFIDENCE

Array = np.ndarray
# A run of a crossed design: the number of its draw and its seed, as text.
Crossing = tuple[str, str]

RESAMPLES = 2000
# Resamples of the test rows that are weighed at once: 32 MB of 16,000 rows.
BLOCK = 500


@dataclass(frozen=True)
class Scores:
    """`values[i]`, float64: the contribution of test row `rows[i]`, int64, to a metric that is their mean."""

    rows: Array
    values: Array

    def minus(self, other: "Scores") -> "Scores | None":
        """The differences on the same rows; None if the rows differ."""
        return Scores(self.rows, self.values - other.values) if np.array_equal(self.rows, other.rows) else None


@dataclass(frozen=True)
class Components:
    """Variances of `y_ds = m + draw_d + seed_s + rest_ds`; `rest` is their interaction and what training adds at random.

    `clipped`: the names of the components whose estimate was below 0, and is set to 0.
    """

    draw: float
    seed: float
    rest: float
    clipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Crossed:
    """The mean of a crossed design and its error.

    `draws`, `seeds`, `runs`: how many there are; runs < draws x seeds if combinations are missing. `test_rows`: how many
    different test rows were resampled, 0: none were. `error`: the standard error by the crossed bootstrap. `degrees`: its
    degrees of freedom (Satterthwaite). `components`: None if the design does not identify them.
    """

    mean: float
    error: float
    degrees: float
    draws: int
    seeds: int
    runs: int
    test_rows: int
    components: Components | None

    @cached_property
    def half_width(self) -> float:
        """Half-width of the 95 % interval, `t_{0.975, degrees} error`."""
        from scipy import special

        return float(special.stdtrit(self.degrees, (1 + CONFIDENCE) / 2) * self.error)

    @property
    def p(self) -> float | None:
        """p of the two-sided test that the expected mean is 0; None where it is undefined, as in `paired`."""
        if not np.isfinite(self.mean) or self.error <= 1e-12 * max(1.0, abs(self.mean)):
            return None
        from scipy import special

        return float(2 * special.stdtr(self.degrees, -abs(self.mean) / self.error))


def is_crossed(runs: Sequence[Crossing]) -> bool:
    """Whether there are several draws and several seeds, and more runs than one seed for each draw."""
    draws, seeds = ({each[place] for each in runs} for place in (0, 1))
    return min(len(draws), len(seeds)) > 1 and len({*runs}) > min(len(draws), len(seeds))


def components(values: Mapping[Crossing, float]) -> Components | None:
    """Variance components by the method of moments: fitting constants (Henderson, Biometrics 9, 1953, method 3), unbiased
    before clipping, whatever combinations are missing.

    With N runs, a draws, b seeds, and r the rank of the additive model `m + draw_d + seed_s` with residual sum of squares SS:

        rest = SS / (N - r),    seed = (SS_d - SS - (r - a) rest) / (N - a),    draw = (SS_s - SS - (r - b) rest) / (N - b)

    where SS_d, SS_s are those of the models of draws alone and seeds alone. Without missing combinations this is the two-way
    analysis of variance without replication: `draw = (MS_d - MS_ds) / b`. None if a component is not identified (e.g. where
    no seed has two draws).
    """
    runs = sorted(values)
    y = np.array([values[each] for each in runs])
    y = y - y.mean()  # the components do not depend on it, and small differences of large squares would be rounded
    of_draws, of_seeds = (_indicators([each[place] for each in runs]) for place in (0, 1))
    both = np.concatenate([of_draws, of_seeds], axis=1)
    n, a, b, rank = len(y), of_draws.shape[1], of_seeds.shape[1], int(np.linalg.matrix_rank(both))
    if rank in (n, a, b):
        return None
    least, without_seeds, without_draws = _residual(both, y), _residual(of_draws, y), _residual(of_seeds, y)
    rest = least / (n - rank)
    found = {
        "draw": (without_draws - least - (rank - b) * rest) / (n - b),
        "seed": (without_seeds - least - (rank - a) * rest) / (n - a),
        "rest": rest,
    }
    # What rounding leaves of equal values is 0, and no estimate below 0.
    small = 1e-12 * float(y @ y) / n
    clipped = tuple(name for name, value in found.items() if value < -small)
    return Components(**{name: value if value > small else 0.0 for name, value in found.items()}, clipped=clipped)


def _indicators(levels: Sequence[str]) -> Array:
    """float64 `[runs, levels]`: 1 where a run has the level."""
    return (np.array(levels)[:, None] == np.unique(levels)).astype(float)


def _residual(columns: Array, y: Array) -> float:
    """The residual sum of squares of a least-squares fit."""
    fitted = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return float(np.square(y - fitted).sum())


def crossed(values: Mapping[Crossing, float], scores: Mapping[Crossing, Scores] | None = None) -> Crossed:
    """The mean over the runs and its error by a crossed bootstrap with product weights (Owen & Eckles, Ann. Appl. Stat. 6,
    2012): draws, seeds and, with `scores`, test rows are weighed independently of each other,

        m* = sum_ds u_d v_s y*_ds / sum_ds u_d v_s,    y*_ds = sum_r w_r x_dsr / sum_r w_r over the test rows r of draw d.

    A test row that several draws have in common has one weight. `w` are exponential (Rubin, Ann. Statist. 9, 1981). Of a draws
    a - 1 are drawn with replacement, and b - 1 of b seeds: so the variance of a mean over them is unbiased (Rao & Wu, JASA 83,
    1988). `error` is the deviation of m*. It counts `rest` three times, with draws, with seeds and by itself: such a bootstrap
    is mildly conservative (Owen & Eckles). `degrees = error^4 / (V_d^2 / (a - 1) + V_s^2 / (b - 1))` with the variances V of m*
    where only draws, or only seeds, are resampled (Satterthwaite, Biometrics 2, 1946).

    The weights depend on the design only: the same runs give the same numbers, in whatever order. A value that is not finite
    makes the error NaN.
    """
    runs = sorted(values)
    y = np.array([values[each] for each in runs])
    draws, draw_of = np.unique([each[0] for each in runs], return_inverse=True)
    seeds, seed_of = np.unique([each[1] for each in runs], return_inverse=True)
    counted = {"draws": len(draws), "seeds": len(seeds), "runs": len(runs)}
    if not np.isfinite(y).all():
        return Crossed(float(y.mean()), float("nan"), 1.0, **counted, test_rows=0, components=None)
    generator = np.random.default_rng([len(runs), len(draws), len(seeds)])
    of_draws, of_seeds = _weights(len(draws), generator)[:, draw_of], _weights(len(seeds), generator)[:, seed_of]
    resampled, test_rows = _rows(runs, scores, generator) if scores else (y, 0)
    if scores:
        # The runs' own values: their metric is computed in another precision than the mean of the scores.
        resampled = resampled + (y - np.array([scores[each].values.mean() for each in runs]))
    error = _variance(of_draws * of_seeds, resampled)
    parts = [(_variance(of_draws, y), len(draws)), (_variance(of_seeds, y), len(seeds))]
    spread = sum(part**2 / (count - 1) for part, count in parts)
    least = min(len(draws), len(seeds)) - 1
    degrees = float(max(least, min(error**2 / spread, 1e6))) if spread > 0 else 1e6
    found = components(values)
    return Crossed(float(y.mean()), float(np.sqrt(error)), degrees, **counted, test_rows=test_rows, components=found)


def _weights(count: int, generator: np.random.Generator) -> Array:
    """float64 `[resamples, count]`: how often each was drawn, in `count - 1` draws."""
    return generator.multinomial(count - 1, np.full(count, 1 / count), RESAMPLES).astype(float)


def _variance(weights: Array, values: Array) -> float:
    """The variance of the weighted mean of values `[runs]` or `[resamples, runs]` over the resamples.

    Where combinations are missing, a resample may have none at all: it is left out.
    """
    total = weights.sum(1)
    there = total > 0
    means = (weights * values).sum(1)[there] / total[there]
    return float(means.var())


def _rows(runs: Sequence[Crossing], scores: Mapping[Crossing, Scores], generator: np.random.Generator) -> tuple[Array, int]:
    """(float64 `[resamples, runs]`: the means of each run's scores under the weights of its rows, the number of rows)."""
    every, place = np.unique(np.concatenate([scores[each].rows for each in runs]), return_inverse=True)
    table = np.full((len(every), len(runs)), np.nan)
    for column, (each, rows) in enumerate(zip(runs, np.split(place, np.cumsum(_lengths(runs, scores))[:-1]), strict=True)):
        table[rows, column] = scores[each].values
    there = ~np.isnan(table)
    both = np.concatenate([np.where(there, table, 0.0), there], axis=1)
    # Rows with the same scores in all runs share a weight: the sum of their exponential weights has a gamma distribution.
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    kinds, counts = (kinds, counts) if 4 * len(kinds) < len(both) else (both, np.ones(len(both)))
    given, present = np.split(kinds, 2, axis=1)
    found = []
    for _ in range(0, RESAMPLES, BLOCK):
        weights = generator.standard_gamma(counts, (BLOCK, len(counts)))
        found.append((weights @ given) / (weights @ present))
    return np.concatenate(found), len(every)


def _lengths(runs: Sequence[Crossing], scores: Mapping[Crossing, Scores]) -> list[int]:
    return [len(scores[each].rows) for each in runs]
