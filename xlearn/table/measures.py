"""The number of a result that a table shows: a metric, or a number at a dotted path (a class, retrieval, a task, cost)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlearn.metrics.kept import PER_CLASS
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.names import HIGHER_IS_BETTER, directions
from xlearn.table.cells import DELTA, GAP, TASKS
from xlearn.table.collect import Record

# Half-width of the 95 % interval of the mean over episodes, within a run.
INTERVAL = "episodes.interval"


@dataclass(frozen=True)
class Measure:
    """`name` as requested; `higher`: whether higher is better."""

    name: str
    higher: bool

    def better_by(self, value: float, other: float) -> float:
        """`value` minus `other`, with the sign that makes better positive."""
        return value - other if self.higher else other - value


@dataclass(frozen=True)
class Reading:
    """One run's number, its gain and its baseline's number (`before`); None without a baseline."""

    value: float
    gain: float | None = None
    before: float | None = None


def measure(records: Sequence[Record], metric: str | None) -> Measure:
    """The requested number, or the metric in the runs' configuration. Raises `Problem` if the runs have no such number."""
    # Not of failed runs: the metric may be the reason of the failure.
    finished = [record for record in records if record.result is not None]
    configured = sorted({record.config["metric"] for record in finished or records})
    if metric is None and len(configured) > 1:
        raise Problem(f"The runs were made for different metrics ({', '.join(configured)}). Choose one with --metric.")
    name = (metric or configured[0]).removeprefix("metrics.")
    higher = {each: way for record in finished for each, way in directions(record.result).items()} or HIGHER_IS_BETTER
    if name not in higher:
        known = dict.fromkeys(path for record in finished for path in numbers(record.result or {}))
        if name not in known and (finished or ("." not in name and name != DELTA)):
            listed = [each for each in known if "." in each] if "." in name else [*higher]
            if "per_class" in name.split(".") and not any("per_class" in each.split(".") for each in known):
                raise Problem(
                    f"--metric {name}: these results have no numbers per class. They are kept for up to {PER_CLASS} classes; "
                    "for more, count them from predictions.safetensors (docs/outputs.md)."
                )
            raise Problem(f"--metric {name}: there is no such metric. {nearest(name, listed or higher)}")
        return Measure(name, _higher(name, higher))
    for record in finished:
        assert record.result is not None
        if record.result["gain"] and name not in record.result["gain"]:  # empty where the target has no labels
            raise Problem(f"{record.folder}/result.json has no {name}. {nearest(name, record.result['gain'])}")
    return Measure(name, higher[name])


def _higher(path: str, higher: Mapping[str, bool]) -> bool:
    """Whether higher is better: not for costs, forgetting (`lost`) and interval widths; always for `delta_m` and `gap_closed`,
    whatever their metric."""
    parts = path.split(".")
    if (parts[0] == "forgetting" and "lost" in parts) or path == INTERVAL:
        return False
    return parts[0] in (DELTA, GAP) or (parts[0] != "cost" and higher.get(parts[-1], True))


def numbers(holder: Mapping[str, Any]) -> dict[str, float]:
    """`{"accuracy": ..., "per_class.cat.f1": ..., "retrieval.image->text.recall@10": ..., "tasks.target.accuracy": ...,
    "delta_m.accuracy": ..., "cost.parameters": ..., "forgetting.mnist5k.after.accuracy": ...,
    "gap_closed.accuracy": ..., "episodes.interval": ...}` of a result, or of a part
    of it that has `metrics` (its baseline, a single modality). `delta_m` without a metric: that of the configured metric.
    """
    found: dict[str, float] = {}

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        for name, each in node.items():
            if isinstance(each, Mapping):
                walk(each, f"{prefix}{name}.")
            elif isinstance(each, int | float) and not isinstance(each, bool):
                found[f"{prefix}{name}"] = float(each)

    walk(holder.get("metrics") or {}, "")
    for name in ("retrieval", DELTA, "cost", "forgetting", GAP):
        walk(holder.get(name) or {}, f"{name}.")
    if (told := (holder.get("episodes") or {}).get("interval")) is not None:
        found[INTERVAL] = told
    for role, each in (holder.get(TASKS) or {}).items():
        walk(each["metrics"], f"{TASKS}.{role}.")
    for name in (DELTA, GAP) if "config" in holder else ():
        if (own := f"{name}.{holder['config']['metric']}") in found:
            found[name] = found[own]
    return found


def number(holder: Mapping[str, Any], what: Measure) -> float | None:
    """The measured number; None if there is none."""
    if what.name in (holder.get("metrics") or {}):
        return (holder.get("metrics") or {}).get(what.name)
    return numbers(holder).get(what.name)


def reading(result: Mapping[str, Any], what: Measure) -> Reading | None:
    """A finished run's number with its baseline's. None if the run has no such number."""
    value = number(result, what)
    if value is None:
        return None
    before = number(result["baseline"], what)
    return Reading(value, None if before is None else result["gain"].get(what.name, what.better_by(value, before)), before)
