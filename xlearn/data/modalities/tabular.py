"""Columns of numbers, standardised, and of categories, numbered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Column, Inputs
from xlearn.data.modalities import Mixture, Modality, Pool
from xlearn.data.modalities.numeric_pieces import Columns
from xlearn.data.modalities.pieces import PieceOptions
from xlearn.data.modalities.vector import dropped, noisy
from xlearn.data.options import TabularOptions
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.hashing import digest

CATEGORIES = 1000


@dataclass(frozen=True)
class TabularSpec(Modality):
    """Columns `float [n, columns]`; NaN where a value is missing. `statistics` is the digest of all that was learned.

    The last `len(categories)` columns hold categories, all before them numbers, which are standardised. A category is 1 to its
    entry of `categories`, the most frequent one first; 0 is any other one: not in training, or too rare.
    """

    columns: tuple[str, ...]
    statistics: str
    categories: tuple[int, ...] = ()

    noise_unit = "standard deviations of the column"

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "TabularFormat":
        return fit(pools, options)

    @property
    def numbers(self) -> int:
        """How many columns hold numbers: the first ones."""
        return len(self.columns) - len(self.categories)

    @property
    def scaling(self) -> bool:
        """Categories of one task alone are other ones, and a network of another shape reads them."""
        return not self.categories

    @property
    def mix(self) -> Callable[[Tensor, Tensor, Mixture], Tensor] | None:
        """None with categories: between two of them there is none."""
        if self.categories:
            return None

        def mix(one: Tensor, other: Tensor, mixture: Mixture) -> Tensor:
            return mixture(one, other)

        return mix

    def hide(self, given: Inputs, share: float, generator: torch.Generator) -> Inputs:
        """Numbers as by dropout; a category becomes missing with probability `share`."""
        assert isinstance(given, Tensor)
        if not self.categories:
            return dropped(given, share, generator)
        numbers, categories = self.apart(given)
        hidden = (torch.rand(categories.shape, generator=generator) < share).to(given.device)
        return torch.cat([dropped_of(numbers, share, generator), categories.masked_fill(hidden, torch.nan)], dim=1)

    @property
    def noise(self) -> Callable[[Tensor, float, torch.Generator], Tensor] | None:
        """On numbers; None without any."""
        if not self.numbers:
            return None

        def noise(values: Tensor, level: float, generator: torch.Generator) -> Tensor:
            if not self.categories:
                return noisy(values, level, generator)
            numbers, categories = self.apart(values)
            return torch.cat([noisy(numbers, level, generator), categories], dim=1)

        return noise

    def pieces(self, columns: Sequence[Column], options: PieceOptions) -> Columns:
        """Numbers are reconstructed; categories are read, and stay. Raises `Problem` without any number."""
        if not self.numbers:
            raise Problem(
                f"{options.method} reconstructs numbers, and this table has categories only ({', '.join(self.columns)}). Name "
                "columns of numbers too, or leave tabular out of the modalities of this phase."
            )
        return Columns(self.numbers)

    def apart(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(the columns of numbers, those of categories)."""
        return values[:, : self.numbers], values[:, self.numbers :]


def dropped_of(numbers: Tensor, share: float, generator: torch.Generator) -> Tensor:
    found = dropped(numbers, share, generator)
    assert isinstance(found, Tensor)
    return found


@dataclass(frozen=True)
class TabularFormat:
    """`mean` and `deviation`: float64 `[numbers]`; the deviation of a constant column is 0. `words`: per column of categories
    the digests of those with a number of their own, in their order.
    """

    spec: TabularSpec
    mean: Tensor
    deviation: Tensor
    words: tuple[Tensor, ...] = ()

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        """float32 `[n, columns]`: `(x - mean) / deviation`, 0 in a constant column; the numbers of categories; NaN stays where
        a value is missing.
        """
        values, words = self.spec.apart(_ordered(pool, self.spec.columns).double())
        scaled = (values - self.mean) / self.deviation.where(self.deviation > 0, 1.0)
        # A column that is constant in training has no scale: its other values become 0.
        scaled = torch.where((self.deviation > 0) | values.isnan(), scaled, 0.0)
        missing = int(values.isnan().sum() + words.isnan().sum())
        notes: dict[str, Any] = {"missing_values": missing, "constant_columns": int((self.deviation == 0).sum())}
        if not self.words:
            return scaled.float(), {name: count for name, count in notes.items() if count}
        columns = [numbered(column, known) for column, known in zip(words.unbind(1), self.words, strict=True)]
        names = self.spec.columns[self.spec.numbers :]
        notes["other_categories"] = {
            name: int((column == 0).sum()) for name, column in zip(names, columns, strict=True) if bool((column == 0).any())
        }
        found = torch.cat([scaled, torch.stack(columns, 1)], dim=1)
        return found.float(), {name: count for name, count in notes.items() if count}


def numbered(words: Tensor, known: Tensor) -> Tensor:
    """float64 `[n]`: 1 + the place of each word in `known`, 0 for another one, NaN for a missing one."""
    order = known.argsort()
    place = torch.searchsorted(known[order], words.nan_to_num()).clamp_max(max(len(known) - 1, 0))
    if not len(known):
        return torch.where(words.isnan(), torch.nan, 0.0).double()
    found = order[place]
    return torch.where(words.isnan(), torch.nan, torch.where(known[found] == words, found + 1.0, 0.0)).double()


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> TabularFormat:
    """Means and standard deviations (of the population, divisor n) per column, over the training rows of all tasks, and the
    `options["categories"]` most frequent categories of their columns in these rows.

    Missing values are left out of all; a column without any value in training has mean 0 and counts as constant. The
    tasks must have the same column names, in any order; the first task's order is kept. Raises `Problem` otherwise, and where
    every column is constant over the training rows (as it is where there is one) and no value is missing: nothing is left then.
    """
    most = _most(options)
    named = pools[0].raw.categories
    columns = tuple(name for name in pools[0].raw.columns if name not in named) + tuple(named)
    for pool in pools:
        _check(pool, pools[0])
    values = torch.cat([_ordered(pool, columns)[pool.train] for pool in pools]).double()
    values, words = values[:, : len(columns) - len(named)], values[:, len(columns) - len(named) :]
    mean = values.nanmean(0).nan_to_num(0.0)
    deviation = (values - mean).square().nanmean(0).sqrt().nan_to_num(0.0)
    # Rounding leaves a constant column a small deviation, which may be as large as that of seconds since 1970.
    varies = values.nan_to_num(-torch.inf).amax(0) > values.nan_to_num(torch.inf).amin(0) if len(values) else deviation > 0
    deviation = deviation.where(varies, 0.0)
    known = tuple(_frequent(column, most) for column in words.unbind(1))
    told_apart = any(len(each) > 1 for each in known) or bool(words.isnan().any())
    if not bool((deviation > 0).any() or values.isnan().any() or told_apart):  # which values are missing says something too
        raise Problem(
            f"{pools[0].name}: every column of its table is constant over the {len(values)} training row(s), and would become "
            "0. Give more rows, or leave tabular out of the modalities."
        )
    statistics = digest([mean.tolist(), deviation.tolist(), *(each.tolist() for each in known)])
    return TabularFormat(TabularSpec(columns, statistics, tuple(map(len, known))), mean, deviation, known)


def _most(options: Mapping[str, Any]) -> int:
    known = TabularOptions.__dataclass_fields__
    for key in options:
        if key not in known:
            raise Problem(f"tabular.{key}: tables have no such setting. {nearest(key, known)}")
    most = options.get("categories")
    most = CATEGORIES if most is None else most
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise Problem(f"tabular.categories={most}: give a number of categories of 1 or more.")
    return most


def _frequent(words: Tensor, most: int) -> Tensor:
    """The most frequent digests of a column, float64; among equally frequent ones the smallest first."""
    found, counts = words[~words.isnan()].unique(return_counts=True)
    return found[counts.argsort(descending=True, stable=True)[:most]]


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
    if other := sorted({*pool.raw.categories} ^ {*first.raw.categories}):
        raise Problem(
            f"tabular: {', '.join(other)}: a category in one of {first.name} and {pool.name}, and a number in the other. Name "
            "it under the same key in both, category or numeric."
        )


def _ordered(pool: Pool, columns: Sequence[str]) -> Tensor:
    """`[n, columns]` in the order of `columns`."""
    values = pool.raw.inputs["tabular"]
    assert isinstance(values, Tensor)
    own = pool.raw.columns
    return values if tuple(own) == tuple(columns) else values[:, [own.index(name) for name in columns]]
