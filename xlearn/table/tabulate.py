"""Records into cells: by row and column, over seeds, tested and corrected."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlearn.errors import Problem, nearest
from xlearn.metric_names import HIGHER_IS_BETTER
from xlearn.table.cells import Cell, Replicate, Table
from xlearn.table.collect import Record
from xlearn.table.keys import REPLICATES, differing, labels, value
from xlearn.table.statistics import holm, mean, paired

BASELINE = "scratch"  # the row that others are tested against when nothing else is said


def tabulate(
    records: Sequence[Record], rows: Sequence[str], columns: Sequence[str], metric: str | None, against: str | None,
    in_order: bool = False,
) -> Table:  # fmt: skip
    """Put the runs into cells. `in_order`: rows and columns in the order of the records, else sorted.

    Raises `Problem` for unknown keys, metrics and rows, and for two results of the same row, column and seed.
    """
    done = [record.result for record in records if record.result is not None]
    name, higher = _metric(records, metric)
    row_of, column_of = labels(records, rows), labels(records, columns)
    order = tuple if in_order else _sorted
    row_names, column_names = order(dict.fromkeys(row_of)), order(dict.fromkeys(column_of))
    chosen = _against(row_names, against)
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for record, row, column in zip(records, row_of, column_of, strict=True):
        by_cell.setdefault((row, column), []).append(record)
    cells = {
        (row, column): _cell(by_cell.get((row, column), []), name, f"{'/'.join(rows)}={row}, {'/'.join(columns)}={column}")
        for row in row_names
        for column in column_names
    }
    cells = _best(_tested(cells, chosen, higher), column_names, higher)
    seen = {key: [value(record, key) for record in records if _repeats(record, key)] for key in REPLICATES}
    failures = [(str(record.folder), record.failure.splitlines()[-1]) for record in records if record.failure]
    return Table(
        row_keys=tuple(rows), column_keys=tuple(columns), rows=row_names, columns=column_names, cells=cells,
        metric=name, higher_is_better=higher, against=chosen,
        baselines=tuple(sorted({result["baseline"]["name"] for result in done})),
        replicates=tuple((key, _sorted({str(each) for each in values})) for key, values in seen.items() if values),
        differing=differing(records, without=(*rows, *columns, *REPLICATES)), failures=tuple(failures),
        codes=Counter(str(result.get("code", "unknown")) for result in done),
    )  # fmt: skip


def _metric(records: Sequence[Record], metric: str | None) -> tuple[str, bool]:
    """(name, whether more is better)."""
    # A failed run may have failed for its metric.
    finished = [record for record in records if record.result is not None]
    configured = sorted({record.config["metric"] for record in finished or records})
    if metric is None and len(configured) > 1:
        raise Problem(f"The runs were made for different metrics ({', '.join(configured)}). Choose one with --metric.")
    name = metric or configured[0]
    if name not in HIGHER_IS_BETTER:
        raise Problem(f"--metric {name}: there is no such metric. {nearest(name, HIGHER_IS_BETTER)}")
    for record in records:
        if record.result is not None and name not in record.result["gain"]:
            raise Problem(f"{record.folder}/result.json has no {name}. {nearest(name, record.result['gain'])}")
    return name, HIGHER_IS_BETTER[name]


def _against(rows: Sequence[str], against: str | None) -> str | None:
    if against is None:
        return BASELINE if BASELINE in rows else None
    for row in rows:
        if row.replace(", ", ",") == against.replace(", ", ","):
            return row
    raise Problem(f"--against {against}: there is no such row. {nearest(against, rows)}")


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
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


def _repeats(record: Record, key: str) -> bool:
    """Whether the run is one of several for this key: a fold counts only under cross-validation."""
    return key == "seed" or bool(record.config.get("target", {}).get("folds"))


def _cell(records: Sequence[Record], metric: str, where: str) -> Cell:
    by_replicate: dict[Replicate, list[Record]] = {}
    for record in records:
        replicate = tuple(str(value(record, key)) for key in REPLICATES if _repeats(record, key))
        by_replicate.setdefault(replicate, []).append(record)
    results: dict[Replicate, dict[str, Any]] = {}
    failed = missing = 0
    for replicate, repeated in by_replicate.items():
        finished = [record for record in repeated if record.result is not None]
        if len(finished) > 1:
            _refuse(finished[0], finished[1], f"{where}, seed={'/'.join(replicate)}")
        if finished and finished[0].result is not None:
            results[replicate] = finished[0].result
        elif any(record.failure for record in repeated):
            failed += 1
        else:
            missing += 1
    seconds = [sum(phase["seconds"] for phase in result["phases"]) for result in results.values()]
    return Cell(
        values={replicate: result["metrics"][metric] for replicate, result in results.items()},
        gains={replicate: result["gain"][metric] for replicate, result in results.items()},
        before={replicate: result["baseline"]["metrics"][metric] for replicate, result in results.items()},
        selection=frozenset(rule for result in results.values() for rule in result["selection"]),
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


def _tested(cells: Mapping[tuple[str, str], Cell], against: str | None, higher: bool) -> dict[tuple[str, str], Cell]:
    """Every cell with its paired test over the shared replicates, corrected over all tests."""
    tested = {}
    for (row, column), cell in cells.items():
        others = cell.before if against is None else cells[against, column].values
        shared = [replicate for replicate in cell.values if replicate in others] if row != against else []
        mine, theirs = [cell.values[each] for each in shared], [others[each] for each in shared]
        better = bool(shared) and (mean(mine) > mean(theirs)) == higher
        tested[row, column] = replace(cell, p=paired(mine, theirs), better=better)
    corrected = holm([cell.p for cell in tested.values()])
    return {place: replace(cell, p_holm=p) for (place, cell), p in zip(tested.items(), corrected, strict=True)}


def _best(cells: Mapping[tuple[str, str], Cell], columns: Sequence[str], higher: bool) -> dict[tuple[str, str], Cell]:
    best: dict[str, float | None] = {}
    for column in columns:
        means = [cell.mean for (_, name), cell in cells.items() if name == column and cell.mean is not None]
        real = [each for each in means if each == each]  # not nan
        best[column] = (max(real) if higher else min(real)) if real else None
    return {(row, name): replace(cell, best=cell.n > 0 and cell.mean == best[name]) for (row, name), cell in cells.items()}
