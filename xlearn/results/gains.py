"""Gain over the baseline, share of the gap that is closed, mean change over tasks, and the majority class."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from xlearn.data.task import Examples, Task
from xlearn.metrics.measure import measure, scalars
from xlearn.runtime.names import HIGHER_IS_BETTER


def baseline_name(config: Mapping[str, Any], target: Task) -> str:
    return str(config["choices"].get("transfer@baseline", "scratch")) if len(target.train) else "source_only"


def delta_m(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
    """`1 / T sum_t s (M_t - B_t) / B_t` by metric, with M_t of task t learned with others, B_t learned alone, and s = 1 where
    higher is better, else -1 (Maninis et al., CVPR 2019, eq. 1). A metric of which some B_t is 0 is left out.
    """
    found = {}
    for name in scalars(pairs[0][0]):
        sign = 1 if HIGHER_IS_BETTER[name] else -1
        if all(before[name] for _, before in pairs):
            changes = [sign * (metrics[name] - before[name]) / before[name] for metrics, before in pairs]
            found[name] = sum(changes) / len(changes)
    return found


def gain(metrics: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """What transferring brought, metric by metric, with the sign that makes more better: below 0 it did harm."""
    before = scalars(baseline)
    return {
        name: value - before[name] if HIGHER_IS_BETTER[name] else before[name] - value
        for name, value in scalars(metrics).items()
    }


def gap_closed(metrics: dict[str, Any], bounds: Mapping[str, Any]) -> dict[str, float]:
    """`(M - M_source) / (M_target - M_source)` by metric: the share of the way from the source's network as it is to a network
    that learned from all labels of the target. Left out where the latter is not better.
    """
    if "source_only" not in bounds:
        return {}
    low, high = (scalars(bounds[name]["metrics"]) for name in ("source_only", "target_only"))
    way = {name: (high[name] - low[name]) * (1 if HIGHER_IS_BETTER[name] else -1) for name in low}
    return {name: (scalars(metrics)[name] - low[name]) / (high[name] - low[name]) for name in low if way[name] > 0}


def majority(task: Task, test: Examples) -> dict[str, Any]:
    """The metrics of who always says the most frequent class of all training rows, labelled or not, and knows the shares.

    A floor, not a learner: with `shots` the labelled rows are of each class equally many and tell nothing.
    """
    labels = torch.cat([task.train.labels, task.unlabeled.labels])
    counts = torch.bincount(labels, minlength=len(task.labels.classes)).double()
    shares = (counts / counts.sum()).clamp_min(1e-9).log().float()
    return measure(shares.expand(len(test), -1), test.labels, task.labels.classes)
