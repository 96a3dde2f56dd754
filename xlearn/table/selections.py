"""Adaptation runs with a column per selection rule: every run becomes a record per rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlearn.runtime.errors import Problem
from xlearn.runtime.names import LABEL_FREE, RULES
from xlearn.table.collect import Record
from xlearn.table.keys import labels
from xlearn.table.measures import Measure, measure, number
from xlearn.table.spread import Spread
from xlearn.table.statistics import mean

SELECTION = "selection"  # the key of four columns: last, source_val, the best label-free rule, oracle
SELECTIONS = "selections"  # the key of one column per rule
BEST = "label-free"
MEANINGS = {
    "last": "the final weights, nothing is selected",
    "source_val": "the metric on the sources' validation split",
    "importance_weighted": "the source validation risk, weighted by the density ratio target / source",
    "dev": "deep embedded validation, importance_weighted with a control variate",
    "entropy": "the entropy of the target's predictions",
    "infomax": "the mutual information of the target's inputs and predictions",
    "snd": "the soft neighbourhood density of the target's predictions",
    "mixval": "the accuracy on mixed target examples with pseudo-labels",
    "oracle": "the metric on the labelled validation split of the target, not available to the method",
}


def by_selection(records: Sequence[Record], row_of: Sequence[str], columns: Sequence[str], metric: str | None) -> Spread:
    """A record per run and rule, with the `metrics` and `gain` of the checkpoint that the rule selects. The last key of
    `columns` is `selection` or `selections`. A run without selection (source_only) has the same numbers in all of them.

    Raises `Problem` if no finished run adapts, and for such a key that is not the last.
    """
    if any(key in (SELECTION, SELECTIONS) for key in columns[:-1]):
        raise Problem(f"The columns {','.join(columns)}: {SELECTION} and {SELECTIONS} must be the last key.")
    if any(record.result for record in records) and not any(_selections(record) for record in records):
        raise Problem(
            f"The columns {columns[-1]}: no run adapts to unlabelled examples. Make runs with e.g. transfer=coral "
            "target.shots=0, or choose other columns."
        )
    what = measure(records, metric)
    before = labels(records, columns[:-1]) if columns[:-1] else [""] * len(records)
    best = _best(records, what)
    rules = RULES if columns[-1] == SELECTIONS else ("last", "source_val", *([BEST] if best else []), "oracle")
    found = [
        (_selected(record, best if rule == BEST and best else rule), row, f"{column}, {rule}" if column else rule)
        for record, row, column in zip(records, row_of, before, strict=True)
        for rule in rules
    ]
    heads = [f"{column}, {rule}" if column else rule for column in dict.fromkeys(before) for rule in rules]
    return Spread(
        records=[record for record, _, _ in found], row_of=[row for _, row, _ in found],
        column_of=[column for _, _, column in found], what=what, columns=tuple(heads), notes=_notes(rules, best, what),
    )  # fmt: skip


def _selections(record: Record) -> Mapping[str, Any]:
    return (record.result or {}).get("selections") or {}


def _best(records: Sequence[Record], what: Measure) -> str | None:
    """The label-free rule with the best mean over all runs that have all of these rules; None if there is none."""
    values: dict[str, list[float]] = {}
    for record in records:
        for rule in LABEL_FREE:
            value = number(_selected(record, rule).result or {}, what) if rule in _selections(record) else None
            if value is not None:
                values.setdefault(rule, []).append(value)
    if not values:
        return None
    most = max(map(len, values.values()))
    means = {rule: mean(each) * (1 if what.higher else -1) for rule, each in values.items() if len(each) == most}
    return max(means, key=lambda rule: means[rule])


def _selected(record: Record, rule: str) -> Record:
    """The run with the checkpoint that this rule selects. An adapting run without its score (no source) has no number."""
    if record.result is None or not (there := _selections(record)):
        return record
    # Whether the network has learned was measured for its own checkpoint.
    whole = {name: each for name, each in record.result.items() if name != "learned"}
    if rule not in there:
        return replace(record, result={**whole, "metrics": {}, "gain": {}, "gap_closed": {}, SELECTION: []})
    each = there[rule]
    changed = {name: each.get(name) or {} for name in ("metrics", "gain", "gap_closed")}
    return replace(record, result={**whole, **changed, SELECTION: [rule]})


def _notes(rules: Sequence[str], best: str | None, what: Measure) -> tuple[str, ...]:
    told = "; ".join(f"`{rule}`: {MEANINGS[rule]}" for rule in rules if rule in MEANINGS)
    notes = [f"Columns: selection rules. Each selects a checkpoint of the same training, by {told}."]
    if BEST in rules:
        notes.append(
            f"`{BEST}`: {best}, the rule without target labels with the best mean {what.name} over all runs of this table; "
            "chosen on these test results, so optimistic. `--columns selections` shows all rules."
        )
    return tuple(notes)
