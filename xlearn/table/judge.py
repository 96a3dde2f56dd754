"""Comparisons of cells: paired t tests with Holm's correction, and the best mean of a column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from xlearn.table.bounds import TARGET_ONLY
from xlearn.table.cells import Cell, Replicate, Table
from xlearn.table.crossed import Crossed
from xlearn.table.designs import design, differences
from xlearn.table.statistics import holm, mean, paired


def judged(table: Table) -> Table:
    """The table with tests against `against` and marks of the best means, computed from the cells' values."""
    return replace(table, cells=best(tested(table.cells, table.against, table.higher, table.draws), table.higher, table.groups))


def tested(
    cells: Mapping[tuple[str, str], Cell], against: str | None, higher: Mapping[str, bool], draws: bool = False
) -> dict[tuple[str, str], Cell]:
    """Every cell with its paired test over the shared replicates, corrected over all tests. `higher`: column -> whether
    higher is better. `draws`: whether the runs have draws. Where the shared replicates cross draws with seeds, the test is
    of the mean difference and its error by a crossed bootstrap: a t test would count runs of one draw as independent.
    """
    found = {}
    for (row, column), each in cells.items():
        other = None if against is None else cells[against, column]
        # No test against a network that has not learned.
        weak = each.baseline_not_learned if other is None else other.not_learned
        others = {} if weak else each.before if other is None else other.values
        shared = [replicate for replicate in each.values if replicate in others] if row != against else []
        mine, theirs = [each.values[place] for place in shared], [others[place] for place in shared]
        better = bool(shared) and (mean(mine) > mean(theirs)) == higher[column]
        made = None if weak else each.difference or _difference(each, other, shared, others, draws)
        p = paired(mine, theirs) if made is None else made.p
        found[row, column] = replace(each, p=p, better=better, difference=made)
    corrected = holm([each.p for each in found.values()])
    return {place: replace(each, p_holm=p) for (place, each), p in zip(found.items(), corrected, strict=True)}


def _difference(
    cell: Cell, other: Cell | None, shared: Sequence[Replicate], values: Mapping[Replicate, float], draws: bool
) -> Crossed | None:
    """The crossed design of the differences to the row `other`, or to each run's own baseline; None if they are none."""
    scores = differences(cell.scores, cell.before_scores if other is None else other.scores)
    return design({each: cell.values[each] - values[each] for each in shared}, scores, draws)


def best(
    cells: Mapping[tuple[str, str], Cell], higher: Mapping[str, bool], group_of: Mapping[str, str] | None = None
) -> dict[tuple[str, str], Cell]:
    """The cells, with the best mean of each column (and group of rows) marked. The row target_only, trained on all labels, is
    never marked.
    """

    def competing(row: str, each: Cell) -> bool:
        return each.mean is not None and each.mean == each.mean and not (each.bound and row.endswith(TARGET_ONLY))

    grouped = group_of or {}
    means: dict[tuple[str, str], list[float]] = {}
    for (row, column), each in cells.items():
        if competing(row, each) and each.mean is not None:
            means.setdefault((grouped.get(row, ""), column), []).append(each.mean)
    highest = {place: max(found) if higher[place[1]] else min(found) for place, found in means.items()}
    return {
        (row, column): replace(each, best=competing(row, each) and each.mean == highest.get((grouped.get(row, ""), column)))
        for (row, column), each in cells.items()
    }
