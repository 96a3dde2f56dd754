"""Comparisons of cells: paired t tests with Holm's correction, and the best mean of a column."""

from collections.abc import Mapping
from dataclasses import replace

from xlearn.table.bounds import TARGET_ONLY
from xlearn.table.cells import Cell, Table
from xlearn.table.statistics import holm, mean, paired


def judged(table: Table) -> Table:
    """The table with tests against `against` and marks of the best means, computed from the cells' values."""
    return replace(table, cells=best(tested(table.cells, table.against, table.higher), table.higher, table.groups))


def tested(
    cells: Mapping[tuple[str, str], Cell], against: str | None, higher: Mapping[str, bool]
) -> dict[tuple[str, str], Cell]:
    """Every cell with its paired test over the shared replicates, corrected over all tests. `higher`: column -> whether
    higher is better.
    """
    found = {}
    for (row, column), each in cells.items():
        others = each.before if against is None else cells[against, column].values
        shared = [replicate for replicate in each.values if replicate in others] if row != against else []
        mine, theirs = [each.values[place] for place in shared], [others[place] for place in shared]
        better = bool(shared) and (mean(mine) > mean(theirs)) == higher[column]
        found[row, column] = replace(each, p=paired(mine, theirs), better=better)
    corrected = holm([each.p for each in found.values()])
    return {place: replace(each, p_holm=p) for (place, each), p in zip(found.items(), corrected, strict=True)}


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
