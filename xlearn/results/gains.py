"""Gain over the baseline, share of the gap between the bounds that is closed, and mean change over tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from xlearn.metrics.measure import scalars
from xlearn.runtime.names import HIGHER_IS_BETTER


def delta_m(
    pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], higher: Mapping[str, bool] = HIGHER_IS_BETTER
) -> dict[str, float]:
    """Mean relative change over tasks, by metric: `1 / T sum_t s (M_t - B_t) / B_t`, with M_t of multi-task and B_t of
    single-task learning, and s = 1 if higher is better, else -1 (Maninis et al., CVPR 2019, eq. 1). A metric with a B_t of 0
    is left out, as is one that not all tasks have. `higher`: by metric whether higher is better.
    """
    found = {}
    for name in scalars(pairs[0][0]):
        sign = 1 if higher[name] else -1
        if all(before.get(name) for _, before in pairs):
            changes = [sign * (metrics[name] - before[name]) / before[name] for metrics, before in pairs]
            found[name] = sum(changes) / len(changes)
    return found


def gain(metrics: dict[str, Any], baseline: dict[str, Any], higher: Mapping[str, bool] = HIGHER_IS_BETTER) -> dict[str, float]:
    """Gain by metric: result minus baseline, with the sign that makes a positive gain an improvement."""
    before = scalars(baseline)
    return {name: value - before[name] if higher[name] else before[name] - value for name, value in scalars(metrics).items()}


def gap_closed(
    metrics: dict[str, Any], bounds: Mapping[str, Any], higher: Mapping[str, bool] = HIGHER_IS_BETTER
) -> dict[str, float]:
    """Share of the gap between *source only* and *target only* that the run closes, by metric: `(M - M_source) / (M_target -
    M_source)`. A metric where *target only* is not better is left out.
    """
    both = [bounds[name] for name in ("source_only", "target_only") if name in bounds]
    if len(both) < 2:
        return {}
    low, high = (scalars(each["metrics"]) for each in both)
    way = {name: (high[name] - low[name]) * (1 if higher[name] else -1) for name in low}
    return {name: (scalars(metrics)[name] - low[name]) / (high[name] - low[name]) for name in low if way[name] > 0}
