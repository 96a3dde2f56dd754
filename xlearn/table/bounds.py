"""Reference rows, read from the results of the runs: single modality, majority class, scratch, single task, bounds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlearn.config.schema import DRAW
from xlearn.runtime.errors import Problem, nearest
from xlearn.table.cells import SINGLE, TASKS, Cell, Replicate
from xlearn.table.collect import Record
from xlearn.table.costs import mean_cost, mean_steps, not_learned
from xlearn.table.designs import BASELINE, designs
from xlearn.table.keys import repeats, replicate
from xlearn.table.measures import Measure, number
from xlearn.table.statistics import mean

BOTH = SOURCE_ONLY, TARGET_ONLY = "source_only", "target_only"
COMPARISONS = "comparisons"
BOUNDS = ("alone", COMPARISONS, "majority", "scratch", "single", SOURCE_ONLY, TARGET_ONLY)
MAJORITY = "majority class"

# Selects the part of a result that has `metrics` and `phases` like a run; None if the result lacks it.
Part = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Bounds:
    """Cells by row and column; `notes`: what each row is, or why it is left out; `left_out`: the labels of such rows."""

    cells: dict[str, dict[str, Cell]]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def default(columns: Sequence[str]) -> tuple[str, ...]:
    """The default reference rows of a table with these columns."""
    return ("single",) if TASKS in columns else ("alone", COMPARISONS)


def chosen(text: str | Sequence[str] | None, where: str = "--bounds") -> tuple[str, ...] | None:
    """The reference rows in `text`: empty for `none`; None for None. Raises `Problem` for an unknown name."""
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
    """The reference rows `names` for the runs of each column; `taken`: labels of rows that the table has already.

    The runs of one column and seed should hold the same value. If they do not, as with several targets, each group of rows
    gets its own row (`by_group`: its runs by column). If the values differ within a group too (a single-modality network is
    trained by the phases of its run), the row is left out with a note.
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
    """One row for all runs, or one per group of rows if the values differ. Raises `Differing` if they differ in a group."""
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
    """`(M - M_source_only) / (M_target_only - M_source_only)`, each a mean over the runs. None if a run lacks the bounds, if
    target only is not better than source only or has not learned, and for numbers other than metrics.
    """
    held = [result.get("bounds") or {} for result in results]
    if any(not each.get(TARGET_ONLY, {}).get("learned", True) for each in held):
        return None
    if not results or not all(SOURCE_ONLY in each and TARGET_ONLY in each for each in held):
        return None
    values = [[number(each, what) for each in some] for some in (results, *([h[name] for h in held] for name in BOTH))]
    found = [[each for each in some if each is not None] for some in values]
    if any(len(some) < len(results) for some in found):
        return None
    own, low, high = map(mean, found)
    return (own - low) / (high - low) if what.better_by(high, low) > 0 else None


class Differing(Exception):
    """Runs of the same column and seed hold different values; the message says which."""


def _parts(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, tuple[Part, str]]:
    found: dict[str, tuple[Part, str]] = {}
    modalities = sorted({each for result in results for each in result.get("alone") or {}}) if "alone" in names else []
    for name in modalities:
        told = "a single modality of the target, trained as in the run, without fusion (from scratch if no source has it)."
        found[f"{name} alone"] = (lambda result, name=name: (result.get("alone") or {}).get(name)), told
    for name in sorted({each for result in results for each in result.get(COMPARISONS) or {}}) if COMPARISONS in names else ():
        told = "the target from scratch with other encoders (`comparison`), the same labels, split, steps and seed."
        found[name] = (lambda result, name=name: (result.get(COMPARISONS) or {}).get(name)), told
    if "scratch" in names:
        known = {each.get("name", "scratch") for result in results if (each := _baseline(result)) is not None}
        label = known.pop() if len(known) == 1 else "baseline"
        found[label] = _baseline, "each run's own baseline."
    if "majority" in names:
        floors = [(result.get("label_space") or {}).get("floor", MAJORITY) for result in results]
        label = floors[0] if floors else MAJORITY
        told = "knows the labels of the training split (hidden ones included), and reads no input."
        if label == MAJORITY:
            told = "always predicts the most frequent class of the training split (hidden labels included)."
        found[label] = (lambda result: {"metrics": result["majority"]} if result.get("majority") else None), told
    if SOURCE_ONLY in names:
        told = "lower bound, the source's network applied unchanged."
        found[SOURCE_ONLY] = _source_only, told
    if TARGET_ONLY in names:
        told = (
            "upper bound, the target trained from scratch on all training labels (hidden ones too), for as many steps as the "
            "transfer reads the target."
        )
        found[TARGET_ONLY] = _target_only, told
    if "single" in names:
        told = "the task trained in a separate network, with the same labels, split, budget and seed."
        found[SINGLE] = _single, told
    return found


def _baseline(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The run's baseline. For one task of a joint run: the run's baseline if the task is its target, else None."""
    return result["own"] if "own" in result else result["baseline"]


def _source_only(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return (result.get("bounds") or {}).get(SOURCE_ONLY)


def _target_only(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return (result.get("bounds") or {}).get(TARGET_ONLY)


# Parts whose correct test rows a run keeps, and the names of their networks there.
PREDICTED: Mapping[Part, str] = {
    _baseline: BASELINE, _source_only: f"bounds.{SOURCE_ONLY}", _target_only: f"bounds.{TARGET_ONLY}"
}  # fmt: skip


def _single(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The single-task network of a task; for a whole run that of its target."""
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
    runs: dict[Replicate, Record] = {}
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
        if (other := next((found for found in having if not _same(found[0], value)), None)) is not None:
            lasted = [(part(result) or {}).get("steps") for result in (having[0][1], other[1])]
            because = f", with {lasted[0]} and {lasted[1]} steps" if lasted[0] != lasted[1] else ""
            raise Differing(
                f"the runs of the same column and seed have different values (column {column}, seed {'/'.join(each)}: "
                f"{value:.3f} and {other[0]:.3f}{because})"
            )
        values[each] = value
        runs[each] = next(record for record in repeated if record.result is having[0][1])
        others = [number(result["baseline"], what) for _, result in having]
        first = others[0]
        # If the baselines of the rows differ, the gain over them is undefined.
        if first is not None and all(found is not None and _same(found, first) for found in others):
            before[each] = first
        parts.append(part(having[0][1]) or {})
        seconds.append(sum(phase["seconds"] for phase in parts[-1].get("phases", ())))
        selection |= set(parts[-1].get("selection", having[0][1]["selection"]))
    gains = {each: what.better_by(values[each], before[each]) for each in before} if len(before) == len(values) else {}
    before, draws = before if gains else {}, any(repeats(record, DRAW) for record in records)
    return Cell(
        **designs(runs, values, gains, before, what.name, draws, PREDICTED.get(part), what.higher),
        values=values, gains=gains, before=before, selection=frozenset(selection),
        seconds=mean(seconds) if seconds else None, parameters=mean_cost(parts, "parameters"), flops=mean_cost(parts, "flops"),
        failed=failed, missing=missing, bound=True, not_learned=not_learned(parts), steps=mean_steps(parts),
    )  # fmt: skip


def _same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12) or (value != value and other != other)
