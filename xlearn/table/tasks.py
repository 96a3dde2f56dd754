"""Joint runs (several tasks in one network) with a column per task: every run becomes a record per task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlearn.runtime.errors import Problem
from xlearn.table.cells import DELTA, SINGLE, TASKS
from xlearn.table.collect import Record
from xlearn.table.measures import measure
from xlearn.table.spread import Spread

TARGET = "target"
# Keys of a result for its target only, and for all its tasks.
OF_TARGET = ("alone", "majority", "retrieval", "robustness", "learned", "steps")
OF_ALL = (TASKS, DELTA)

Head = tuple[str, str]  # the role of a task, and its name


def by_task(records: Sequence[Record], row_of: Sequence[str], metric: str | None) -> Spread:
    """A record per run and task, with the task's `metrics`, `gain` and `baseline` (its single-task network), and one per run
    for `delta_m` (its baseline is 0).

    An unfinished run counts in the columns of all its configured roles. Raises `Problem` if no run trains several tasks, and
    for a metric that the runs do not have.
    """
    if metric is not None and metric.partition(".")[0] == DELTA:
        raise Problem(f"--metric {metric}: it is a column of {TASKS} already. Name its metric, such as accuracy.")
    heads = _heads(records)
    labels = _labels(heads)
    places = [_places(record, heads) for record in records]
    parts = [
        (_of_task(record, role) if record.result else record, row, labels[role, name])
        for record, row, there in zip(records, row_of, places, strict=True)
        for role, name in there
    ]
    what = measure([record for record, _, _ in parts], metric)
    deltas = [
        (made, row, DELTA)
        for record, row, there in zip(records, row_of, places, strict=True)
        if there and (made := _of_all(record, what.name)) is not None
    ]
    shown = any(record.result for record, _, _ in deltas) or not any(record.result for record in records)
    found = [*parts, *(deltas if shown else ())]
    costs = [record.result["cost"] for record in records if record.result and _tasks(record) and record.result.get("cost")]
    return Spread(
        records=[record for record, _, _ in found], row_of=[row for _, row, _ in found],
        column_of=[column for _, _, column in found], what=what, columns=(*labels.values(), *([DELTA] if shown else ())),
        notes=_notes(records), together=bool(costs) and all("all_parameters" in each for each in costs),
    )  # fmt: skip


def _tasks(record: Record) -> Mapping[str, Any]:
    return (record.result or {}).get(TASKS) or {}


def _heads(records: Sequence[Record]) -> list[Head]:
    """The tasks in the order of the results, targets last; those of the configurations if no run has finished."""
    found = [(role, each["name"]) for record in records for role, each in _tasks(record).items()]
    if not found and not any(record.result for record in records):
        found = [head for record in records if record.config.get("transfer", {}).get("joins") for head in _configured(record)]
    if not found:
        raise Problem(
            f"The columns {TASKS}: no run learned several tasks in one network. Make runs with transfer=joint, or repeat them "
            "if they are older than that column; or choose other columns."
        )
    return sorted(dict.fromkeys(found), key=lambda head: head[0] == TARGET)


def _configured(record: Record) -> list[Head]:
    return [*((name, name) for name in record.config.get("source") or {}), (TARGET, str(record.choices.get(TARGET, TARGET)))]


def _labels(heads: Iterable[Head]) -> dict[Head, str]:
    """A task's name; where it has several roles, with the role, unless that is the name."""
    roles: dict[str, set[str]] = {}
    for role, name in heads:
        roles.setdefault(name, set()).add(role)
    return {(role, name): name if len(roles[name]) == 1 or role == name else f"{name} ({role})" for role, name in heads}


def _places(record: Record, heads: Sequence[Head]) -> list[Head]:
    """The tasks of a run. For an unfinished run only the roles are known, and usually the target's name."""
    if record.result is not None:
        return [(role, each["name"]) for role, each in _tasks(record).items()]
    found = []
    for role, name in _configured(record):
        same = [head for head in heads if head[0] == role]
        found += [head for head in same if head[1] == name] or same
    return found or [*heads]


def _of_task(record: Record, role: str) -> Record:
    """The record of one task of a joint run."""
    assert record.result is not None
    each, left = record.result[TASKS][role], (*OF_ALL, *(OF_TARGET if role != TARGET else ()))
    single = {**each["single"], "cost": _single_cost(record.result)}
    result = {
        **{name: content for name, content in record.result.items() if name not in left},
        "learned": each.get("learned", True),
        "metrics": each["metrics"], "gain": each["gain"],
        "baseline": single, "single": single, "cost": _cost(record.result),
        "own": record.result["baseline"] if role == TARGET else None,
    }  # fmt: skip
    return replace(record, result=result)


def _of_all(record: Record, metric: str) -> Record | None:
    """The record of `delta_m` of a run; None if a finished run has none."""
    if record.result is None:
        return record
    value = (record.result.get(DELTA) or {}).get(metric)
    if value is None:
        return None
    phases = [phase for each in _tasks(record).values() for phase in each["single"].get("phases", ())]
    single = {"name": SINGLE, "metrics": {metric: 0.0}, "phases": phases, "cost": _single_cost(record.result)}
    result = {
        **{name: content for name, content in record.result.items() if name not in (*OF_ALL, *OF_TARGET)},
        "metrics": {metric: value}, "gain": {metric: value}, "baseline": single, "single": single, "own": None,
        "cost": _cost(record.result),
    }  # fmt: skip
    return replace(record, result=result)


def _cost(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cost of a run, with the parameters of all tasks if they were counted."""
    cost = result.get("cost")
    return {**cost, "parameters": cost.get("all_parameters", cost["parameters"])} if cost else None


def _single_cost(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cost of the single-task networks: the sum of their parameters, and the FLOPs of a prediction for the target."""
    found = {role: each["single"].get("cost") for role, each in result[TASKS].items()}
    if not all(found.values()):
        return None
    flops = found[TARGET].get("flops") if TARGET in found else None
    return {"parameters": sum(each["parameters"] for each in found.values()), "flops": flops}


def _notes(records: Sequence[Record]) -> tuple[str, ...]:
    notes = []
    if without := len({record.folder for record in records if record.result and not _tasks(record)}):
        notes.append(f"{without} finished run(s) did not train several tasks in one network; they do not count here.")
    if len({tuple(_tasks(record)) for record in records if _tasks(record)}) > 1:
        notes.append(f"The runs trained different sets of tasks; their `{DELTA}` are means over different tasks.")
    unlearned = {
        record.folder for record in records if any(not each["single"].get("learned", True) for each in _tasks(record).values())
    }
    if unlearned:
        notes.append(f"{len(unlearned)} run(s) have no `{DELTA}`, because a single-task network has not learned.")
    return tuple(notes)
