"""Columns of numbers, standardised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlearn.data.modalities import Pool
from xlearn.data.task import TabularSpec
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest


@dataclass(frozen=True)
class TabularFormat:
    """`mean` and `deviation`: float64 `[columns]`; the deviation of a constant column is 0."""

    spec: TabularSpec
    mean: Tensor
    deviation: Tensor

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        """float32 `[n, columns]`: `(x - mean) / deviation`, 0 in a constant column; NaN stays where a value is missing."""
        values = _ordered(pool, self.spec.columns).double()
        scaled = (values - self.mean) / self.deviation.where(self.deviation > 0, 1.0)
        # A column that is constant in training has no scale: its other values become 0.
        scaled = torch.where((self.deviation > 0) | values.isnan(), scaled, 0.0)
        lacking = int(values.isnan().sum())
        return scaled.float(), {"missing_values": lacking} if lacking else {}


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> TabularFormat:
    """Means and standard deviations (of the population, divisor n) per column, over the training rows of all tasks.

    Missing values are left out of both; a column without any value in training has mean 0 and counts as constant. The
    tasks must have the same column names, in any order; the first task's order is kept. Raises `Problem` otherwise.
    """
    columns = pools[0].raw.columns
    for pool in pools:
        _check(pool, pools[0])
    values = torch.cat([_ordered(pool, columns)[pool.train] for pool in pools]).double()
    mean = values.nanmean(0).nan_to_num(0.0)
    deviation = (values - mean).square().nanmean(0).sqrt().nan_to_num(0.0)
    # Rounding leaves a constant column a deviation of some 1e-16 of its mean.
    deviation = deviation.where(deviation > 1e-9 * mean.abs(), 0.0)
    statistics = digest([mean.tolist(), deviation.tolist()])
    return TabularFormat(TabularSpec(tuple(columns), statistics), mean, deviation)


def _check(pool: Pool, first: Pool) -> None:
    own, expected = pool.raw.columns, first.raw.columns
    values = pool.raw.inputs["tabular"]
    if not isinstance(values, Tensor) or len(own) != values.shape[1] or len(set(own)) < len(own):
        raise Problem(f"{pool.name}: {len(own)} column names ({', '.join(own)}) for tabular data. Name each column once.")
    told = [
        f"{name} has {', '.join(repr(each) for each in more)} and {other} has not"
        for name, other, more in (
            (pool.name, first.name, [each for each in own if each not in expected]),
            (first.name, pool.name, [each for each in expected if each not in own]),
        )
        if more
    ]
    if told:
        raise Problem(
            f"tabular: the tasks of a run need the same columns; {'; '.join(told)}. Choose the same ones (as in "
            "numeric=[age,weight]), or leave tabular out of the modalities of both."
        )


def _ordered(pool: Pool, columns: Sequence[str]) -> Tensor:
    """float32 `[n, columns]` in the order of `columns`."""
    values = pool.raw.inputs["tabular"]
    assert isinstance(values, Tensor)
    own = pool.raw.columns
    return values if tuple(own) == tuple(columns) else values[:, [own.index(name) for name in columns]]
