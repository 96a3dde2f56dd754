"""Columns of numbers, standardised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from xlearn.data.columns import Column, Inputs
from xlearn.data.modalities import Mixture, Modality, Pool
from xlearn.data.modalities.pieces import Cut, Noise, PieceOptions
from xlearn.data.modalities.vector import dropped, noisy
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest


@dataclass(frozen=True)
class TabularSpec(Modality):
    """Numbers `float [n, columns]`, standardised; NaN where a value is missing. `statistics` is the digest of the scaling."""

    columns: tuple[str, ...]
    statistics: str

    noise_unit = "standard deviations of the column"

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "TabularFormat":
        return fit(pools, options)

    @property
    def scaling(self) -> bool:
        return True

    def mix(self, one: Tensor, other: Tensor, mixture: Mixture) -> Tensor:
        return mixture(one, other)

    def hide(self, given: Inputs, share: float, generator: torch.Generator) -> Inputs:
        return dropped(given, share, generator)

    def noise(self, values: Tensor, level: float, generator: torch.Generator) -> Tensor:
        return noisy(values, level, generator)

    def pieces(self, columns: Sequence[Column], options: PieceOptions) -> "Columns":
        return Columns(len(self.columns))


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
        counted = {"missing_values": int(values.isnan().sum()), "constant_columns": int((self.deviation == 0).sum())}
        return scaled.float(), {name: count for name, count in counted.items() if count}


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> TabularFormat:
    """Means and standard deviations (of the population, divisor n) per column, over the training rows of all tasks.

    Missing values are left out of both; a column without any value in training has mean 0 and counts as constant. The
    tasks must have the same column names, in any order; the first task's order is kept. Raises `Problem` otherwise, and where
    every column is constant over the training rows (as it is where there is one) and no value is missing: nothing is left then.
    """
    columns = pools[0].raw.columns
    for pool in pools:
        _check(pool, pools[0])
    values = torch.cat([_ordered(pool, columns)[pool.train] for pool in pools]).double()
    mean = values.nanmean(0).nan_to_num(0.0)
    deviation = (values - mean).square().nanmean(0).sqrt().nan_to_num(0.0)
    # Rounding leaves a constant column a deviation of some 1e-16 of its mean.
    deviation = deviation.where(deviation > 1e-9 * mean.abs(), 0.0)
    if not bool((deviation > 0).any() or values.isnan().any()):  # which values are missing says something too
        raise Problem(
            f"{pools[0].name}: every column of its table is constant over the {len(values)} training row(s), and would become "
            "0. Give more rows, or leave tabular out of the modalities."
        )
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


@dataclass(frozen=True)
class Columns:
    """Numeric columns, each a piece. Missing values (NaN) are not reconstructed; masked ones become missing."""

    places: int
    size: Literal[1] = 1

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Tensor)
        return Cut(given.nan_to_num().unsqueeze(2), ~given.isnan().unsqueeze(2))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Tensor)
        return given.masked_fill(hidden, torch.nan)

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        """N(0, deviation^2); missing values stay missing."""
        assert isinstance(given, Tensor)
        return given + noise.deviation * torch.randn(given.shape).to(given.device)
