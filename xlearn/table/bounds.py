"""Rows that no run was made for, but every run brings: a modality alone, the majority's class, from scratch, a task alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlearn.runtime.errors import Problem, nearest
from xlearn.table.cells import SINGLE, TASKS, Cell, Replicate
from xlearn.table.collect import Record
from xlearn.table.costs import mean_cost
from xlearn.table.keys import replicate
from xlearn.table.measures import Measure, number
from xlearn.table.statistics import mean

BOTH = SOURCE_ONLY, TARGET_ONLY = "source_only", "target_only"
BOUNDS = ("alone", "majority", "scratch", "single", SOURCE_ONLY, TARGET_ONLY)
MAJORITY = "majority class"

# What has `metrics` and `phases` like a run, of a result; None where the result does not have it.
Part = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Bounds:
    """Cells by row and column, the sentences that say what the rows are, or why there is none, and the rows left out."""

    cells: dict[str, dict[str, Cell]]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def default(columns: Sequence[str]) -> tuple[str, ...]:
    """The bounds of a table that asks for none in particular."""
    return ("single",) if TASKS in columns else ("alone",)


def chosen(text: str | Sequence[str] | None, where: str = "--bounds") -> tuple[str, ...] | None:
    """The bounds asked for; `none` is none. None: nothing was asked for. Raises `Problem` for an unknown one."""
    if text is None:
        return None
    names = [each.strip() for each in text.split(",") if each.strip()] if isinstance(text, str) else [*text]
    for name in names:
        if name not in (*BOUNDS, "none"):
            raise Problem(f"{where} {name}: there is no such bound. {nearest(name, (*BOUNDS, 'none'))}")
    return tuple(name for name in dict.fromkeys(names) if name != "none")


def bounds(
    by_column: Mapping[str, Sequence[Record]], names: Sequence[str], what: Measure, taken: Sequence[str],
    by_group: Mapping[str, Mapping[str, Sequence[Record]]] | None = None,
) -> Bounds:  # fmt: skip
    """The rows of `names` for the runs of each column; `taken` are the rows that are there already.

    The runs of one column and seed bring the same number each. Where they do not, as under several targets, each group of
    rows has a row (`by_group`: its runs by column). Where they do not even then (a modality alone is learned by the phases of
    its run), a row would show one of several: it is left out, and a note says so.
    """
    results = [record.result for records in by_column.values() for record in records if record.result is not None]
    cells: dict[str, dict[str, Cell]] = {}
    notes: list[str] = []
    left_out: list[str] = []
    meanings: dict[str, list[str]] = {}
    for label, (part, told) in _parts(results, names).items():
        if label in taken or not any(_value(result, part, what) is not None for result in results):
            continue
        try:
            cells |= _rows(label, part, what, by_column, by_group or {})
        except Differing as differing:
            notes.append(f"There is no row `{label}`: {differing}.")
            left_out.append(label)
        else:
            meanings.setdefault(told, []).append(f"`{label}`")
    if "majority" in names and results and MAJORITY not in cells and not any("majority" in each for each in results):
        notes.append(f"There is no row `{MAJORITY}`: the runs were made before it was measured. Repeat them.")
    return Bounds(cells, (*(f"{', '.join(each)}: {told}" for told, each in meanings.items()), *notes), tuple(left_out))


def _rows(
    label: str, part: Part, what: Measure, by_column: Mapping[str, Sequence[Record]],
    by_group: Mapping[str, Mapping[str, Sequence[Record]]],
) -> dict[str, dict[str, Cell]]:  # fmt: skip
    """A row for all, or where they differ one for each group of rows. Raises `Differing` where those differ too."""
    try:
        return {label: {column: _cell(records, part, what, column) for column, records in by_column.items()}}
    except Differing:
        if len(by_group) < 2:
            raise
    return {
        f"{group}, {label}": {column: _cell(records, part, what, column) for column, records in columns.items()}
        for group, columns in by_group.items()
    }


def gap_closed(results: Sequence[Mapping[str, Any]], what: Measure) -> float | None:
    """`(M - M_source) / (M_target - M_source)` of the means over the runs; None where some do not know the bounds, where a
    target with all labels is not better than the source alone, and for numbers that are no metric.
    """
    held = [result.get("bounds") or {} for result in results]
    if not results or not all(SOURCE_ONLY in each and TARGET_ONLY in each for each in held):
        return None
    values = [[number(each, what) for each in some] for some in (results, *([h[name] for h in held] for name in BOTH))]
    found = [[each for each in some if each is not None] for some in values]
    if any(len(some) < len(results) for some in found):
        return None
    own, low, high = map(mean, found)
    return (own - low) / (high - low) if what.better_by(high, low) > 0 else None


class Differing(Exception):
    """Runs of the same column and seed bring different numbers; the text says which."""


def _parts(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, tuple[Part, str]]:
    found: dict[str, tuple[Part, str]] = {}
    modalities = sorted({each for result in results for each in result.get("alone") or {}}) if "alone" in names else []
    for name in modalities:
        told = "a single modality of the target, learned like the runs, without fusion (from scratch if no source has it)."
        found[f"{name} alone"] = (lambda result, name=name: (result.get("alone") or {}).get(name)), told
    if "scratch" in names:
        known = {each.get("name", "scratch") for result in results if (each := _baseline(result)) is not None}
        label = known.pop() if len(known) == 1 else "baseline"
        found[label] = _baseline, "the runs' own baselines, which learn without the source."
    if "majority" in names:
        told = "always the most frequent class of all training rows; learns nothing."
        found[MAJORITY] = (lambda result: {"metrics": result["majority"]} if result.get("majority") else None), told
    if SOURCE_ONLY in names:
        found[SOURCE_ONLY] = (lambda result: (result.get("bounds") or {}).get(SOURCE_ONLY)), "the source's network as it is."
    if TARGET_ONLY in names:
        told = (
            "the target from scratch, with the labels of all its training examples, hidden ones too, and the transfer's budget."
        )
        found[TARGET_ONLY] = (lambda result: (result.get("bounds") or {}).get(TARGET_ONLY)), told
    if "single" in names:
        told = "the task learned alone, in a network of its own, with the same labels, split, budget and seed."
        found[SINGLE] = _single, told
    return found


def _baseline(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The run's own; of a task of a run, what the run compares with where the task is its target."""
    return result["own"] if "own" in result else result["baseline"]


def _single(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The task alone; of a whole run its target."""
    return result["single"] if "single" in result else ((result.get(TASKS) or {}).get("target") or {}).get("single")


def _value(result: Mapping[str, Any], part: Part, what: Measure) -> float | None:
    holder = part(result)
    return None if holder is None else number(holder, what)


def _cell(records: Sequence[Record], part: Part, what: Measure, column: str) -> Cell:
    grouped: dict[Replicate, list[Record]] = {}
    for record in records:
        grouped.setdefault(replicate(record), []).append(record)
    values: dict[Replicate, float] = {}
    before: dict[Replicate, float] = {}
    seconds, parts, selection = [], [], set()
    failed = missing = 0
    for each, repeated in grouped.items():
        results = [record.result for record in repeated if record.result is not None]
        if not results:
            failed, missing = (failed + 1, missing) if any(r.failure for r in repeated) else (failed, missing + 1)
            continue
        having = [(value, result) for result in results if (value := _value(result, part, what)) is not None]
        if not having:
            continue
        value = having[0][0]
        if (other := next((found for found, _ in having if not _same(found, value)), None)) is not None:
            raise Differing(
                f"the runs of the same column and seed bring different values (column {column}, seed {'/'.join(each)}: "
                f"{value:.3f} and {other:.3f})"
            )
        values[each] = value
        others = [number(result["baseline"], what) for _, result in having]
        first = others[0]
        # Where the baselines of the rows differ, there is no one gain over them.
        if first is not None and all(found is not None and _same(found, first) for found in others):
            before[each] = first
        parts.append(part(having[0][1]) or {})
        seconds.append(sum(phase["seconds"] for phase in parts[-1].get("phases", ())))
        selection |= set(parts[-1].get("selection", having[0][1]["selection"]))
    gains = {each: what.better_by(values[each], before[each]) for each in before} if len(before) == len(values) else {}
    return Cell(
        values=values, gains=gains, before=before if gains else {}, selection=frozenset(selection),
        seconds=mean(seconds) if seconds else None, parameters=mean_cost(parts, "parameters"), flops=mean_cost(parts, "flops"),
        failed=failed, missing=missing, bound=True,
    )  # fmt: skip


def _same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12) or (value != value and other != other)
