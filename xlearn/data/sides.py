"""The side of every row: training, validation or test. Rows of one unit (copies, one owner) are on one side."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy
import torch
from torch import Tensor

from xlearn.data.copies import Copies
from xlearn.data.options import TaskOptions
from xlearn.data.tasks import OPEN, TEST, VAL, Raw
from xlearn.runtime.errors import Problem

# Row numbers, int64: many small arrays, for which NumPy takes a tenth of torch's time.
Rows = numpy.ndarray
# Sides, beside VAL and TEST: the larger, the stricter. READ rows are for training, without labels; LEFT_OUT ones are neither
# learned from nor measured.
NONE, READ, TRAIN, LEFT_OUT = -2, -1, OPEN, 3


@dataclass(frozen=True)
class Sides:
    """`side int8 [n]` of every row, NONE without a label; `orders[group]`: the rows of a group in random order, in which
    labels are shown: copies of earlier rows come last.
    """

    side: Rows
    orders: list[Rows]


def sides(raw: Raw, options: TaskOptions, draw: int, name: str, copies: Copies) -> Sides:
    """Split group by group: test rows first, then validation rows, as official splits say, else by shares or folds.

    One permutation per group, seeded by `draw`. Units are permuted instead of rows, as members of their rarest group, and taken
    until their rows come closest to the share; every group keeps a unit to train on. Units in two official splits stay in the
    stricter one: their other rows are left out.
    """
    known = numpy.zeros(len(raw.labels), bool)
    known[raw.known.numpy()] = True
    if copies.unused is not None:
        known &= ~copies.unused.numpy()
    side = numpy.full(len(known), NONE, numpy.int8)
    strata = raw.strata.numpy()
    counts = numpy.bincount(strata[known], minlength=len(raw.groups))
    units = numpy.arange(len(known)) if copies.units is None else copies.units.numpy()
    heads, strata_of_units, sizes = _units(units, strata, counts, known)
    given = _Given(raw, options, name, units, known)
    too_few = options.folds is not None and len(heads) < options.folds
    permuted = []
    for label, mine in enumerate(_shuffled(heads, strata_of_units, len(raw.groups), draw)):
        every_fold = copies.units is None or too_few
        part = _of_group(mine, sizes, label, given, every_fold)
        side[mine] = part
        permuted.append(mine)
    side = numpy.where(known, side[units], NONE)
    weaker = known & (given.official < given.of_units[units])
    side[weaker & (side != NONE)] = LEFT_OUT
    if copies.units is not None:
        permuted = _orders(strata, known, copies, len(raw.groups), draw)
    return Sides(side, permuted)


def rows_by_group(strata: Tensor, groups: int) -> list[Rows]:
    """The rows of each of the groups 0 to `groups` - 1, ascending, from the group of each row, `int64 [n]`. Sorted once, so
    that the cost grows with rows plus groups.
    """
    ordered, rows = strata.sort(stable=True)
    bounds = torch.searchsorted(ordered, torch.arange(groups + 1)).tolist()
    every = rows.numpy()
    return [every[start:end] for start, end in pairwise(bounds)]


def _units(units: Rows, strata: Rows, counts: Rows, known: Rows) -> tuple[Rows, Rows, Rows]:
    """(the first labelled row of each unit, its group, `sizes [n]`: the number of labelled rows by that first row). A unit of
    several groups counts as one of the rarest of them, so that this one has units for all sides.
    """
    rows = numpy.nonzero(known)[0]
    rarity = counts[strata[rows]]
    # By unit, the row of the rarest group, of equally rare ones the first group, of its rows the first.
    order = numpy.lexsort((rows, strata[rows], rarity, units[rows]))
    sorted_units = units[rows][order]
    starts = numpy.concatenate([[True], sorted_units[1:] != sorted_units[:-1]]) if len(rows) else numpy.zeros(0, bool)
    chosen = rows[order][starts]
    sizes = numpy.bincount(units[rows], minlength=len(known))
    # `units` names a unit by its first row, which may have no label: the sides are looked up there.
    return units[chosen], strata[chosen], sizes


def _shuffled(heads: Rows, strata: Rows, groups: int, draw: int) -> Iterator[Rows]:
    """The units of each group in random order. All groups draw from one generator, in the order of their labels."""
    generator = torch.Generator().manual_seed(draw)
    order = numpy.argsort(heads, kind="stable")
    for places in rows_by_group(torch.from_numpy(strata[order]), groups):
        mine = heads[order][places]
        yield mine[torch.randperm(len(mine), generator=generator).numpy()]


class _Given:
    """What is the same for all groups: data, options, and official splits, by row and by unit (OPEN without)."""

    def __init__(self, raw: Raw, options: TaskOptions, name: str, units: Rows, known: Rows) -> None:
        self.raw, self.options, self.name = raw, options, name
        used = raw.official is not None and options.folds is None
        self.official = raw.official.numpy() if used and raw.official is not None else numpy.zeros(len(units), numpy.int8)
        self.of_units = numpy.zeros(len(units), numpy.int8)
        numpy.maximum.at(self.of_units, units[known], self.official[known])
        self.tested = used and bool((self.official[known] == TEST).any())


def _of_group(units: Rows, sizes: Rows, label: int, given: _Given, every_fold: bool) -> Rows:
    """int8, the sides of the units of one group, which are in random order. `every_fold`: it needs a unit in each
    of the folds."""
    raw, options, name = given.raw, given.options, given.name
    side = numpy.full(len(units), TRAIN, numpy.int8)
    if options.folds is not None:
        if len(units) < options.folds and every_fold:
            raise Problem(
                f"{name}.folds={options.folds}: {words_for(raw, label)} has {len(units)} examples. Give at most {len(units)}."
            )
        side[options.fold :: options.folds] = TEST
    else:
        side[:] = given.of_units[units]
        if not given.tested:
            _take(side, sizes[units], TEST, options.test, least=1)
    if options.val > 0 and not (side == VAL).any():
        _take(side, sizes[units], VAL, options.val, least=2)
    return side


def _take(side: Rows, sizes: Rows, taken: int, share: float, least: int) -> None:
    """The first of the units that are for training become `taken`: as many as come closest to the share of their rows, at least
    one, and one less than all. None if there are only `least` units.
    """
    rest = numpy.nonzero(side == TRAIN)[0]
    if len(rest) <= least:
        return
    reached = numpy.cumsum(sizes[rest])
    closest = int(numpy.abs(reached - round(share * int(reached[-1]))).argmin()) + 1
    side[rest[: min(max(1, closest), len(rest) - 1)]] = taken


def _orders(strata: Rows, known: Rows, copies: Copies, groups: int, draw: int) -> list[Rows]:
    """The rows of each group in random order, copies of earlier rows after all others: k labels are k different examples, of
    several owners.
    """
    rows = numpy.nonzero(known)[0]
    generator = torch.Generator().manual_seed(draw)
    shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
    repeats = copies.repeats.numpy()[shuffled]
    ordered = numpy.concatenate([shuffled[~repeats], shuffled[repeats]])
    return [ordered[places] for places in rows_by_group(torch.from_numpy(strata[ordered]), groups)]


def words_for(raw: Raw, label: int) -> str:
    """The words for a group, e.g. `class 'dog'`."""
    return f"{raw.label_space.group} {raw.groups[label]!r}" if raw.label_space.group else "the task"
