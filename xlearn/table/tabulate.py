"""Records into cells: by row and column, over seeds, tested and corrected."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlearn.errors import Problem, nearest
from xlearn.table.bounds import DEFAULT, bounds
from xlearn.table.cells import Cell, Replicate, Table
from xlearn.table.collect import Record
from xlearn.table.keys import REPLICATES, differing, labels, repeats, replicate, value
from xlearn.table.measures import Measure, Reading, measure, reading
from xlearn.table.statistics import holm, mean, paired

BASELINE = "scratch"  # the row that others are tested against when nothing else is said


def tabulate(
    records: Sequence[Record], rows: Sequence[str], columns: Sequence[str], metric: str | None, against: str | None,
    in_order: bool = False, added: Sequence[str] = DEFAULT,
) -> Table:  # fmt: skip
    """Put the runs into cells. `in_order`: rows and columns in the order of the records, else sorted. `added`: the bounds
    that become rows of their own, below the others.

    Raises `Problem` for unknown keys, metrics and rows, and for two results of the same row, column and seed.
    """
    what = measure(records, metric)
    row_of, column_of = labels(records, rows), labels(records, columns)
    order = tuple if in_order else ordered
    row_names, column_names = order(dict.fromkeys(row_of)), order(dict.fromkeys(column_of))
    by_cell: dict[tuple[str, str], list[Record]] = {}
    by_column: dict[str, list[Record]] = {column: [] for column in column_names}
    for record, row, column in zip(records, row_of, column_of, strict=True):
        by_cell.setdefault((row, column), []).append(record)
        by_column[column].append(record)
    cells = {
        (row, column): cell(
            by_cell.get((row, column), []),
            lambda result: reading(result, what),
            f"{'/'.join(rows)}={row}, {'/'.join(columns)}={column}",
        )
        for row in row_names
        for column in column_names
    }
    brought = bounds(by_column, added, what, row_names)
    cells |= {(row, column): each for row, line in brought.cells.items() for column, each in line.items()}
    row_names = (*row_names, *brought.cells)
    # The file of a table cannot know that its runs will bring different ones; a note says that there is no such row.
    chosen = row_against(row_names, None if against in brought.left_out else against)
    return Table(
        row_keys=tuple(rows), column_keys=tuple(columns), rows=row_names, columns=column_names,
        cells=best(tested(cells, chosen, what.higher), column_names, what.higher),
        metric=what.name, higher_is_better=what.higher, against=chosen,
        differing=differing(records, without=(*rows, *columns, *REPLICATES)),
        notes=(*brought.notes, *_lacking(records, what), *class_paired(records)), **common(records),
    )  # fmt: skip


def common(records: Sequence[Record]) -> dict[str, Any]:
    """What a table tells of its runs, whatever its rows and columns are: each run once."""
    records = [*{record.folder if record.result or record.failure else id(record): record for record in records}.values()]
    done = [record.result for record in records if record.result is not None]
    seen = {key: [value(record, key) for record in records if repeats(record, key)] for key in REPLICATES}
    return {
        "baselines": tuple(sorted({result["baseline"]["name"] for result in done})),
        "replicates": tuple((key, ordered({str(each) for each in values})) for key, values in seen.items() if values),
        "failures": tuple((str(each.folder), each.failure.splitlines()[-1]) for each in records if each.failure),
        "codes": Counter(str(result.get("code", "unknown")) for result in done),
    }


def _lacking(records: Sequence[Record], what: Measure) -> list[str]:
    """A sentence about finished runs without the number that is shown, or none."""
    count = sum(record.result is not None and reading(record.result, what) is None for record in records)
    return [f"{count} finished run(s) have no {what.name}; they do not count here."] if count else []


def class_paired(records: Sequence[Record]) -> list[str]:
    """A sentence where modalities were put together by class alone, or none."""
    notes = [(name, each) for record in records if record.result for name, each in (record.result.get("data") or {}).items()]
    found = sorted({each.get("name", name) for name, each in notes if str(each.get("pairing", "")).startswith("class-paired")})
    if not found:
        return []
    return [
        f"{', '.join(found)}: class-paired, the modalities of an example are of the same class, put together at random; "
        "nobody recorded them together."
    ]


def row_against(rows: Sequence[str], against: str | None) -> str | None:
    """The row that `against` names; without it, scratch if there is such a row."""
    if against is None:
        return BASELINE if BASELINE in rows else None
    for row in rows:
        if row.replace(", ", ",") == against.replace(", ", ","):
            return row
    raise Problem(f"--against {against}: there is no such row. {nearest(against, rows)}")


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Numbers by size, then null, then words; scratch before all."""

    def position(name: str) -> list[tuple[int, float, str]]:
        return [_position(each) for each in name.split(", ")]

    return tuple(sorted(names, key=position))


def _position(name: str) -> tuple[int, float, str]:
    if name == BASELINE:
        return -1, 0.0, name
    try:
        return 0, float(name), name
    except ValueError:
        return 1 if name == "null" else 2, 0.0, name


def cell(records: Sequence[Record], read: Callable[[dict[str, Any]], Reading | None], where: str) -> Cell:
    """The runs of one row and column, by replicate. Raises `Problem` for two different results of the same one."""
    by_replicate: dict[Replicate, list[Record]] = {}
    for record in records:
        by_replicate.setdefault(replicate(record), []).append(record)
    results: dict[Replicate, dict[str, Any]] = {}
    failed = missing = 0
    for each, repeated in by_replicate.items():
        # A run that belongs to several sweeps is there several times.
        finished = [*{record.folder: record for record in repeated if record.result is not None}.values()]
        if len(finished) > 1:
            _refuse(finished[0], finished[1], f"{where}, seed={'/'.join(each)}")
        if finished and finished[0].result is not None:
            results[each] = finished[0].result
        elif any(record.failure for record in repeated):
            failed += 1
        else:
            missing += 1
    found = {each: made for each, result in results.items() if (made := read(result)) is not None}
    seconds = [sum(phase["seconds"] for phase in results[each]["phases"]) for each in found]
    return Cell(
        values={each: made.value for each, made in found.items()},
        gains={each: made.gain for each, made in found.items() if made.gain is not None},
        before={each: made.before for each, made in found.items() if made.before is not None},
        selection=frozenset(rule for each in found for rule in results[each]["selection"]),
        seconds=mean(seconds) if seconds else None, failed=failed, missing=missing,
    )  # fmt: skip


def _refuse(first: Record, second: Record, where: str) -> None:
    found = differing([first, second])
    keys = "; ".join(f"{key}: {' and '.join(values)}" for key, values in found.items())
    example = next(iter(found), "KEY")
    reason = (
        f"They differ in {keys}. Averaging them would hide that: choose with --where {example}=..., or make it a row or column "
        f"(--columns {example})."
        if found
        else "Their configurations are the same: one is a copy or was made by another version. Name only one of them."
    )
    raise Problem(f"Two results for the same (row, column, seed), {where}: {first.folder} and {second.folder}. {reason}")


def tested(cells: Mapping[tuple[str, str], Cell], against: str | None, higher: bool) -> dict[tuple[str, str], Cell]:
    """Every cell with its paired test over the shared replicates, corrected over all tests."""
    found = {}
    for (row, column), each in cells.items():
        others = each.before if against is None else cells[against, column].values
        shared = [replicate for replicate in each.values if replicate in others] if row != against else []
        mine, theirs = [each.values[place] for place in shared], [others[place] for place in shared]
        better = bool(shared) and (mean(mine) > mean(theirs)) == higher
        found[row, column] = replace(each, p=paired(mine, theirs), better=better)
    corrected = holm([each.p for each in found.values()])
    return {place: replace(each, p_holm=p) for (place, each), p in zip(found.items(), corrected, strict=True)}


def best(cells: Mapping[tuple[str, str], Cell], columns: Sequence[str], higher: bool) -> dict[tuple[str, str], Cell]:
    """The cells, with the best mean of each column marked."""
    highest: dict[str, float | None] = {}
    for column in columns:
        means = [each.mean for (_, name), each in cells.items() if name == column and each.mean is not None]
        real = [each for each in means if each == each]  # not nan
        highest[column] = (max(real) if higher else min(real)) if real else None
    return {(row, name): replace(each, best=each.n > 0 and each.mean == highest[name]) for (row, name), each in cells.items()}
