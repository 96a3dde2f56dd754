"""Records to cells by row and column: means over seeds, paired tests, Holm's correction."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xlearn.config.schema import DRAW, REPLICATES
from xlearn.runtime.errors import Problem, nearest
from xlearn.table.bounds import bounds, default, gap_closed
from xlearn.table.cells import TASKS, Cell, Replicate, Table
from xlearn.table.collect import Record
from xlearn.table.costs import mean_cost, mean_steps, not_learned
from xlearn.table.designs import designs
from xlearn.table.judge import judged
from xlearn.table.keys import differing, labels, repeats, replicate, value, with_draws
from xlearn.table.measures import Measure, Reading, measure, reading
from xlearn.table.names import distinct, equal_names
from xlearn.table.selections import SELECTION, SELECTIONS, by_selection
from xlearn.table.spread import Spread
from xlearn.table.statistics import mean
from xlearn.table.tasks import by_task
from xlearn.table.versions import newest, packages

BASELINE = "scratch"  # the default row that others are tested against


def tabulate(
    records: Sequence[Record], rows: Sequence[str], columns: Sequence[str], metric: str | None, against: str | None,
    in_order: bool = False, added: Sequence[str] | None = None,
) -> Table:  # fmt: skip
    """Put the runs into cells. `in_order`: rows and columns in the order of the records, else sorted. `added`: the
    reference rows below the others; None: the default for these columns.

    Raises `Problem` for unknown keys, metrics and rows, and for two results of the same row, column and seed.
    """
    records, older = newest(records)
    records = with_draws(records)
    records = distinct(records, [key for key in (*rows, *columns) if key not in (TASKS, SELECTION, SELECTIONS)])
    spread = _spread(records, rows, columns, metric)
    what = spread.what
    order = tuple if in_order else ordered
    row_names = order(dict.fromkeys(labels(records, rows)))
    column_names = spread.columns or order(dict.fromkeys(spread.column_of))
    by_cell: dict[tuple[str, str], list[Record]] = {}
    by_column: dict[str, list[Record]] = {column: [] for column in column_names}
    group_of = groups(records, rows)
    by_group: dict[str, dict[str, list[Record]]] = {group: {c: [] for c in column_names} for group in group_of.values()}
    for record, row, column in zip(spread.records, spread.row_of, spread.column_of, strict=True):
        by_cell.setdefault((row, column), []).append(record)
        by_column[column].append(record)
        by_group[group_of[row]][column].append(record)
    cells = {
        (row, column): cell(
            by_cell.get((row, column), []),
            lambda result: reading(result, what),
            f"{'/'.join(rows)}={row}, {'/'.join(columns)}={column}",
            what,
            rows=not spread.columns and not {SELECTION, SELECTIONS} & {*columns},
        )
        for row in row_names
        for column in column_names
    }
    brought = bounds(by_column, default(columns) if added is None else added, what, row_names, by_group)
    cells |= {(row, column): each for row, line in brought.cells.items() for column, each in line.items()}
    row_names = (*row_names, *brought.cells)
    # `against` may name a reference row that is left out, because its runs differ; a note says so.
    against = None if against in brought.left_out else against
    # Tasks are compared with single-task networks by default, not with the row scratch.
    chosen = None if spread.columns and against is None else row_against(row_names, against)
    higher = {column: spread.measured(column).higher for column in column_names}
    table = Table(
        row_keys=tuple(rows), column_keys=tuple(columns), rows=row_names, columns=column_names,
        cells=cells, groups=group_of, higher=higher,
        metric=what.name, higher_is_better=what.higher, against=chosen,
        differing=differing(records, without=(*rows, *columns, *REPLICATES)),
        notes=(*older, *brought.notes, *spread.notes, *_lacking(spread, what, columns), *remarks(records)),
        together=spread.together, **common(spread.records),
    )  # fmt: skip
    return judged(table)


def _spread(records: Sequence[Record], rows: Sequence[str], columns: Sequence[str], metric: str | None) -> Spread:
    if {SELECTION, SELECTIONS} & {*columns}:
        return by_selection(records, labels(records, rows), columns, metric)
    if TASKS not in columns:
        return Spread(records, labels(records, rows), labels(records, columns), measure(records, metric))
    if len(columns) > 1:
        raise Problem(f"The columns {','.join(columns)}: {TASKS} excludes others. Choose runs with --where, or make it a row.")
    return by_task(records, labels(records, rows), metric)


def common(records: Sequence[Record]) -> dict[str, Any]:
    """The fields of a table that do not depend on its rows and columns; each run counts once."""
    records = [*{record.folder if record.result or record.failure else id(record): record for record in records}.values()]
    done = [record.result for record in records if record.result is not None]
    seen = {key: [value(record, key) for record in records if repeats(record, key)] for key in REPLICATES}
    return {
        "baselines": tuple(sorted({result["baseline"]["name"] for result in done})),
        "replicates": tuple((key, ordered({str(each) for each in values})) for key, values in seen.items() if values),
        "failures": tuple((str(each.folder), each.failure.splitlines()[-1]) for each in records if each.failure),
        "codes": Counter(str(result.get("code", "unknown")) for result in done),
        "versions": packages(done),
    }


def _lacking(spread: Spread, what: Measure, columns: Sequence[str]) -> list[str]:
    """A sentence about finished runs without the measured number, or none."""
    found = {each.folder for each in spread.records if each.result is not None and reading(each.result, what) is None}
    if {SELECTION, SELECTIONS} & {*columns}:
        return (
            [f"{len(found)} finished run(s) have no score under some rules (e.g. without a source); they do not count there."]
            if found
            else []
        )
    where = " for some of their tasks; these" if spread.columns else "; they"
    return [f"{len(found)} finished run(s) have no {what.name}{where} do not count here."] if found else []


def class_paired(records: Sequence[Record]) -> list[str]:
    """A sentence if modalities were paired at random within a class, or none."""
    notes = [(name, each) for record in records if record.result for name, each in (record.result.get("data") or {}).items()]
    found = sorted({each.get("name", name) for name, each in notes if str(each.get("pairing", "")).startswith("class-paired")})
    if not found:
        return []
    return [
        f"{', '.join(found)}: class-paired. The modalities of an example were recorded separately, and paired at random "
        "within a class."
    ]


def remarks(records: Sequence[Record]) -> list[str]:
    """The sentences about how the data were paired, about runs with several names, and about weights of unknown origin."""
    return [*class_paired(records), *equal_names(records), *unknown(records)]


def unknown(records: Sequence[Record]) -> list[str]:
    """A sentence on initial weights that may have learned from test examples, because their training data are unknown."""
    found = sorted({str(name) for record in records if record.result for name in record.result.get("unknown") or ()})
    return [f"Unknown: what these weights have learned from, test examples perhaps: {', '.join(found)}."] if found else []


def row_against(rows: Sequence[str], against: str | None) -> str | None:
    """The row that `against` names; by default scratch, if there is such a row."""
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


def cell(
    records: Sequence[Record], read: Callable[[dict[str, Any]], Reading | None], where: str, what: Measure | None = None,
    rows: bool = False,
) -> Cell:  # fmt: skip
    """The cell of these runs, by replicate. `what`: the number of `gap_closed`; None: without. `rows`: whether
    the number is of the run's predictions on its test rows, which are then resampled in a crossed design. Raises `Problem` for
    two results of the same replicate.
    """
    by_replicate: dict[Replicate, list[Record]] = {}
    for record in records:
        by_replicate.setdefault(replicate(record), []).append(record)
    results: dict[Replicate, dict[str, Any]] = {}
    runs: dict[Replicate, Record] = {}
    failed = missing = 0
    for each, repeated in by_replicate.items():
        # A run of several sweeps has several records.
        finished = [*{record.folder: record for record in repeated if record.result is not None}.values()]
        if len(finished) > 1:
            _refuse(finished[0], finished[1], f"{where}, seed={'/'.join(each)}")
        if finished and finished[0].result is not None:
            results[each], runs[each] = finished[0].result, finished[0]
        elif any(record.failure for record in repeated):
            failed += 1
        else:
            missing += 1
    found = {each: made for each, result in results.items() if (made := read(result)) is not None}
    counted = [results[each] for each in found]
    seconds = [sum(phase["seconds"] for phase in result["phases"]) for result in counted]
    values = {each: made.value for each, made in found.items()}
    before = {each: made.before for each, made in found.items() if made.before is not None}
    gains = {each: made.gain for each, made in found.items() if made.gain is not None}
    draws = any(repeats(record, DRAW) for record in records)
    shown = designs(
        runs, values, gains, before, what.name if rows and what else None, draws, higher=what is None or what.higher
    )
    return Cell(
        values=values, gains=gains, before=before, **shown,
        selection=frozenset(rule for result in counted for rule in result["selection"]),
        seconds=mean(seconds) if seconds else None, failed=failed, missing=missing,
        parameters=mean_cost(counted, "parameters"), flops=mean_cost(counted, "flops"),
        closed=None if what is None else gap_closed(counted, what),
        not_learned=not_learned(counted), baseline_not_learned=not_learned(each["baseline"] for each in counted),
        steps=mean_steps(counted), baseline_steps=mean_steps(each["baseline"] for each in counted),
        equal=any(record.computed_as is not None for record in records), unmeasured=len(results) - len(found),
    )  # fmt: skip


def _refuse(first: Record, second: Record, where: str) -> None:
    found = differing([first, second])
    keys = "; ".join(f"{key}: {' and '.join(values)}" for key, values in found.items())
    example = next(iter(found), "KEY")
    reason = (
        f"They differ in {keys}. Averaging them would hide that: choose with --where {example}=..., or make it a row or column "
        f"(--columns {example})."
        if found
        else "Their configurations are the same: one is a copy. Name only one of them."
    )
    raise Problem(f"Two results for the same (row, column, seed), {where}: {first.folder} and {second.folder}. {reason}")


def groups(records: Sequence[Record], rows: Sequence[str]) -> dict[str, str]:
    """Row -> the group within which its best mean is marked: the label without the last key, if the runs have several targets
    and each group has one; else the empty label.
    """
    names = labels(records, rows)
    before = [name.rpartition(", ")[0] for name in names]
    targets: dict[str, set[str]] = {}
    for group, record in zip(before, records, strict=True):
        targets.setdefault(group, set()).add(str(record.choices.get("target")))
    several = len(set().union(*targets.values())) > 1 and all(len(each) == 1 for each in targets.values())
    return {name: group if several else "" for name, group in zip(names, before, strict=True)}
