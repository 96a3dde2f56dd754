"""Robustness curves as a table: a metric by level of corruption of the test inputs, for many runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlearn.config.schema import REPLICATES
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.names import directions
from xlearn.table.cells import TASKS, Axis, Table
from xlearn.table.collect import Record
from xlearn.table.judge import judged
from xlearn.table.keys import differing, labels, shown, with_draws
from xlearn.table.measures import Measure, Reading
from xlearn.table.names import distinct
from xlearn.table.tabulate import cell, common, ordered, remarks, row_against
from xlearn.table.versions import newest


def names(records: Sequence[Record]) -> list[str]:
    """The names of all curves of the runs."""
    return sorted({name for record in records if record.result for name in record.result.get("robustness") or {}})


def curve_rows(records: Sequence[Record], rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The row keys of a curve: those of the table, and its column keys in which the runs differ (the columns are levels)."""
    others = [key for key in columns if key not in rows and key != TASKS]
    return [*rows, *(key for key in others if len(set(labels(records, [key]))) > 1)]


def curve(
    records: Sequence[Record], rows: Sequence[str], name: str, metric: str | None, against: str | None, in_order: bool = False
) -> Table:
    """Rows as in any table, columns: the levels of `robustness.<name>`. Gain: the change against the same run on clean test
    inputs, above 0 is better.

    Raises `Problem` for a name or metric that no run has, and for two results of the same row and seed.
    """
    records, older = newest(records)
    records = with_draws(records)
    records = distinct(records, rows)
    known = names(records)
    if not known:
        raise Problem(
            f"--curve {name}: no run measured one. Add e.g. robustness=[missing] robustness.missing.modality=image to the runs."
        )
    if name not in known:
        raise Problem(f"--curve {name}: no run has such a curve. {nearest(name, known)}")
    having = [each for record in records if record.result and (each := (record.result.get("robustness") or {}).get(name))]
    what = _measure(having, name, metric, directions(next(record.result for record in records if record.result)))
    row_of = labels(records, rows)
    order = tuple if in_order else ordered
    row_names = order(dict.fromkeys(row_of))
    levels = sorted({float(level) for each in having for level in each["levels"]})
    by_row: dict[str, list[Record]] = {}
    for record, row in zip(records, row_of, strict=True):
        by_row.setdefault(row, []).append(record)
    cells = {
        (row, shown(level)): replace(  # a level has no training time, and the change is not over the baseline
            cell(by_row[row], lambda result, level=level: _reading(result, name, level, what), f"{'/'.join(rows)}={row}"),
            seconds=None,
            baseline_not_learned=0,
        )
        for row in row_names
        for level in levels
    }
    chosen = row_against(row_names, against)
    columns = tuple(shown(level) for level in levels)
    higher = dict.fromkeys(columns, what.higher)
    lacking = sum(record.result is not None and name not in (record.result.get("robustness") or {}) for record in records)
    notes = (f"{lacking} finished run(s) have no curve {name}; they do not count here.",) if lacking else ()
    notes = (*older, *notes, *remarks(records))
    table = Table(
        row_keys=tuple(rows), column_keys=(name,), rows=row_names, columns=columns,
        cells=cells, higher=higher, metric=what.name, higher_is_better=what.higher,
        against=chosen, differing=differing(records, without=(*rows, *REPLICATES)), notes=notes, axis=_axis(records, name),
        **common(records),
    )  # fmt: skip
    return judged(table)


def _measure(having: Sequence[Mapping[str, Any]], name: str, metric: str | None, higher: Mapping[str, bool]) -> Measure:
    measured = sorted({key for each in having for key in each if key not in ("modality", "levels", "unit")})
    if metric is None and len(measured) > 1:
        raise Problem(f"The runs measured {name} in different metrics ({', '.join(measured)}). Choose one with --metric.")
    chosen = metric or measured[0]
    if chosen not in measured:
        raise Problem(f"--metric {chosen}: curves are measured in the metric of their runs. {nearest(chosen, measured)}")
    return Measure(chosen, higher.get(chosen, True))


def _reading(result: Mapping[str, Any], name: str, level: float, what: Measure) -> Reading | None:
    found = (result.get("robustness") or {}).get(name)
    if found is None or what.name not in found:
        return None
    values = {float(each): value for each, value in zip(found["levels"], found[what.name], strict=True)}
    if level not in values:
        return None
    if level == 0:  # the clean test inputs: no comparison
        return Reading(values[level])
    before = values.get(0.0, result["metrics"][what.name])
    return Reading(values[level], what.better_by(values[level], before), before)


def _axis(records: Sequence[Record], name: str) -> Axis:
    """The meaning of the levels, from the results and configurations."""
    modalities: dict[str, None] = {}
    units: dict[str, None] = {}
    targets: dict[str, None] = {}
    for record in records:
        if found := ((record.result or {}).get("robustness") or {}).get(name):
            modalities[found["modality"]] = None
            units |= {found["unit"]: None} if found.get("unit") else {}
            node = (record.config.get("robustness") or {}).get(name) or {}
            targets[str(node.get("_target_", name)).rpartition(".")[2]] = None
    of, kind = " or ".join(modalities), next(iter(targets), name)
    if kind == "missing":
        return Axis(name, f"share of the test examples that lack their {of}", f"with {of} missing")
    unit = f" (level x: x {' or x '.join(units)})" if units else ""
    if kind == "noise":
        return Axis(name, f"noise in {of} of the test examples{unit}", f"under noise in {of}")
    return Axis(name, f"level of {name} in {of} of the test examples{unit}", f"under {name} in {of}")
