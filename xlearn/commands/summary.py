"""The summary that a run prints at its end. Imports nothing heavy."""

from pathlib import Path
from typing import Any

from xlearn.commands.fairness import compared, damaged, mark, not_learned, steps
from xlearn.commands.private_layers import private_layers
from xlearn.commands.split_notes import SPLIT_NOTES
from xlearn.commands.table_notes import OF_TABLES
from xlearn.commands.title import title, words_of
from xlearn.commands.units import compact, megaflops
from xlearn.runtime.names import directions

# The averages that a table of several metrics leaves out, because they say nearly the same as those beside them.
NOT_SHOWN = ("worst_class", "macro_precision", "macro_recall")

BOUNDS = {"source_only": "lower (source only)", "target_only": "upper (target only, all labels)"}
# Notes of a task that the summary does not print: they are for programs, or part of the text of another note.
UNTOLD = ("name", "data", "fingerprint", "examples", "split", "from_rate", "to_rate", "from_rates", "longest")
# Texts for the notes of xlearn's own tasks and modalities. Any other note is printed as its name and value.
TOLD = {
    "bad_images": "{} unreadable image(s) left out (skip_bad)",
    "bad_sounds": "{} unreadable sound(s) left out (skip_bad)",
    "bad_rows": "{} unreadable row(s) left out (skip_bad)",
    **OF_TABLES,
    "truncated": "{} truncated",
    "resampled": "{} resampled",
    "cut": "{} cut",
    "missing_values": "{} missing value(s)",
    "constant_columns": "{} column(s) constant in training, read as 0",
    "duplicates_removed": "{} duplicate(s) left out",
    "contradictions_removed": "{} with contradicting labels left out",
    "form_depends_on_source": "the form of {} depends on the source, for the baseline too",
    "neutral_left_out": "{} neutral example(s) left out",
    **SPLIT_NOTES,
}


def summary(result: dict[str, Any], folder: Path, again: bool = False) -> str:
    """The printed result of a run: metrics with baseline and gain, then lines for episodes, tasks, forgetting, bounds and cost,
    seconds per phase, notes of the data, and the path of `result.json`. `again`: the run was finished before.
    """
    unlabelled = result["baseline"].get("name") == "source_only"
    against = "source only" if unlabelled else "scratch"
    lines = [title(result), f"  {'':<18}{'result':>9}{against:>13}{'gain':>9}"]
    shown = [name for name in directions(result) if name in result["gain"] and name not in NOT_SHOWN]
    for name in shown:
        value, before, gain = result["metrics"][name], result["baseline"]["metrics"][name], result["gain"][name]
        lines.append(f"  {name.replace('_', ' '):<18}{value:>9.4f}{before:>13.4f}{gain:>+9.4f}")
    if result["gain"][result["config"]["metric"]] < 0:
        better = "the unchanged source network" if unlabelled else "training from scratch"
        lines.append(f"  negative transfer: {better} does better in {result['config']['metric']}")
    lines += [f"  {line}" for line in (*compared(result), *steps(result), *not_learned(result), *damaged(result))]
    told = (
        *_episodes(result),
        *_adaptation(result),
        *_tasks(result),
        *_forgetting(result),
        *_bounds(result),
        *_retrieval(result),
        *_robustness(result),
        *private_layers(result),
        *_cost(result),
    )
    lines += [f"  {line}" for line in told]
    phases = [
        f"{phase['name']} {phase['seconds']:.1f} s{' (cached)' if phase.get('cached') else ''}"
        for phase in (
            *result["phases"],
            *({**each, "name": "baseline"} for each in result["baseline"]["phases"]),
            *({**each, "name": name} for name, other in (result.get("comparisons") or {}).items() for each in other["phases"]),
            *({**each, "name": f"{name} alone"} for name, single in _alone(result).items() for each in single["phases"]),
            *_together("single tasks", _single_phases(result)),
        )
    ]
    lines.append(f"  phases: {', '.join(phases)}")
    lines += [f"  {phase['name']}: {phase['note']}" for phase in result["phases"] if phase.get("note")]
    lines += [f"  {name}: {'; '.join(told)}" for name, notes in result["data"].items() if (told := _told(notes))]
    lines.append(f"  {'already done: ' if again else ''}{folder}/result.json")
    return "\n".join(lines)


def _together(name: str, phases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The phases as one entry `name` with their total seconds; cached if all are."""
    if not phases:
        return []
    cached = all(each.get("cached") for each in phases)
    return [{"name": name, "seconds": sum(each["seconds"] for each in phases), "cached": cached}]


def _single_phases(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The phases of the single-task networks, without those of the baseline, which are printed already."""
    told = result["baseline"]["phases"]
    each = (task["single"]["phases"] for task in _of(result).values())
    return [phase for phases in each if phases != told for phase in phases]


def _of(result: dict[str, Any]) -> dict[str, Any]:
    """The tasks by role of a joint run (several tasks in one network); else empty."""
    return result.get("tasks") or {}


def _tasks(result: dict[str, Any]) -> list[str]:
    """The main metric of each task in the joint and in its single-task network, and `delta_m`."""
    metric, tasks = result["config"]["metric"], _of(result)
    if not tasks:
        return []
    names = {role: each["name"] if role == each["name"] else f"{each['name']} ({role})" for role, each in tasks.items()}
    words = metric.replace("_", " ")
    width = max(18, *(len(each) for each in (*names.values(), words)))
    lines = [f"{words:<{width}}{'joint':>9}{'single':>9}{'gain':>9}"]
    for role, each in tasks.items():
        own = _metric_of(result, each["metrics"])
        value, single, gain = each["metrics"][own], each["single"]["metrics"][own], each["gain"][own]
        lines.append(f"{names[role]:<{width}}{value:>9.4f}{single:>9.4f}{gain:>+9.4f}{mark(each['single'])}")
    delta = (result.get("delta_m") or {}).get(metric)
    if unlearned := [names[role] for role, each in tasks.items() if not each["single"].get("learned", True)]:
        lines.append(f"delta_m: none, because the single-task network of {', '.join(unlearned)} has not learned")
    if delta is not None:
        against = f"mean relative change of {words} over {len(tasks)} tasks, joint against single-task networks"
        lines.append(f"delta_m: {100 * delta:+.1f} % ({against})")
    return lines


def _episodes(result: dict[str, Any]) -> list[str]:
    """Few-shot evaluation: the interval of the mean over the episodes, and the metric after each inner step."""
    if not (found := result.get("episodes")):
        return []
    metric, curve = found["metric"], found["curve"][found["metric"]]
    told = f"+- {found['interval']:.4f} (95 % confidence interval of the mean over {found['count']} episodes)"
    lines = [f"{metric} {result['metrics'][metric]:.4f} {told}"]
    if found.get("statistics") == "batch":
        lines.append("transductive: batch normalisation uses all queries of an episode (statistics=support does not)")
    steps = ", ".join(f"{step}: {each:.3f}" for step, each in enumerate(curve))
    return [*lines, f"{metric} after inner step {steps}"] if len(curve) > 1 else lines


def _adaptation(result: dict[str, Any]) -> list[str]:
    """The bounds, the share of the gap between them that the run closes, and the test metric under each selection rule."""
    metric, lines = result["config"]["metric"], []
    words = metric.replace("_", " ")
    if bounds := result.get("bounds") or {}:
        listed = ", ".join(
            f"{BOUNDS.get(name, name)} {each['metrics'][metric]:.4f}{mark(each)}" for name, each in bounds.items()
        )
        closed = (result.get("gap_closed") or {}).get(metric)
        lines.append(f"bounds of {words}: {listed}{'' if closed is None else f'; {100 * closed:.0f} % of the gap closed'}")
    if rules := result.get("selections"):
        listed = ", ".join(
            f"{rule}{' (needs target labels)' * (rule == 'oracle')} {each['metrics'][metric]:.4f}"
            for rule, each in rules.items()
        )
        lines.append(f"test {words} by selection rule: {listed}")
    return lines


def _forgetting(result: dict[str, Any]) -> list[str]:
    """The main test metric on each source before and after the transfer."""
    lines = []
    for role, each in (result.get("forgetting") or {}).items():
        if "not_measured" in each:
            lines.append(f"forgetting of source {role}: not measured. {each['not_measured']}")
            continue
        metric = _metric_of(result, each["before"])
        before, after = each["before"][metric], each["after"][metric]
        told = f"test {metric.replace('_', ' ')} {before:.3f} -> {after:.3f} ({after - before:+.3f})"
        lines.append(f"forgetting of source {role}: {told}")
    return lines


def _metric_of(result: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The run's metric; the first one of a task that predicts something else."""
    return result["config"]["metric"] if result["config"]["metric"] in metrics else next(iter(metrics))


def _cost(result: dict[str, Any]) -> list[str]:
    """The cost of a prediction, and the baseline's if it differs."""
    cost, other = result.get("cost"), result["baseline"].get("cost")
    if not cost:
        return []
    said = _costs(cost)
    beside = "" if not other or _costs(other) == said else f" ({result['baseline'].get('name', 'baseline')}: {_costs(other)})"
    return [f"cost: {said} per example{beside}"]


def _costs(cost: dict[str, Any]) -> str:
    flops = "" if cost.get("flops") is None else f", {megaflops(cost['flops'])} MFLOPs"
    return f"{compact(cost['parameters'])} parameters{flops}"


def _alone(result: dict[str, Any]) -> dict[str, Any]:
    return result.get("alone") or {}


def _bounds(result: dict[str, Any]) -> list[str]:
    """The main metric of each single-modality network, the run's margin over the best of them, and the majority class."""
    metric, lines = result["config"]["metric"], []
    words = metric.replace("_", " ")
    if alone := {name: each["metrics"][metric] for name, each in _alone(result).items()}:
        sign = 1 if directions(result).get(metric, True) else -1
        best = max(alone, key=lambda name: sign * alone[name])
        listed = ", ".join(f"{name} {value:.4f}{mark(_alone(result)[name])}" for name, value in alone.items())
        above = sign * (result["metrics"][metric] - alone[best])
        lines.append(f"{words} of single modalities: {listed}; all together {above:+.4f} over {best}")
    if result.get("majority"):
        lines.append(f"{words_of(result)['floor']}: {result['majority'][metric]:.4f} ({words})")
    return lines


def _retrieval(result: dict[str, Any]) -> list[str]:
    lines = []
    for direction, found in (result.get("retrieval") or {}).items():
        recalls = ", ".join(f"{name} {value:.4f}" for name, value in found.items() if name.startswith("recall@"))
        chance = f", chance@10 {found['chance@10']:.4f}" if "chance@10" in found else ""
        lines.append(f"retrieval {direction}: {recalls}{chance} ({found['items']} items)")
    return lines


def _robustness(result: dict[str, Any]) -> list[str]:
    metric, lines = result["config"]["metric"], []
    for name, curve in (result.get("robustness") or {}).items():
        values = ", ".join(f"{level:g}: {value:.4f}" for level, value in zip(curve["levels"], curve[metric], strict=True))
        of = curve["modality"]
        lines.append(f"{name}{'' if name.endswith(of) else f' {of}'}, {metric.replace('_', ' ')} by level: {values}")
    return lines


def _told(notes: dict[str, Any]) -> list[str]:
    """A text for each note that is not empty; the notes of a modality begin with its name."""
    found = []
    for name, content in notes.items():
        if name in UNTOLD or content is False or not content:
            continue
        if isinstance(content, dict):
            if inner := _told(content):
                found.append(f"{name.replace('_', ' ')}: {', '.join(inner)}")
            continue
        shown = f"{content:,}" if isinstance(content, int) and content is not True else content
        shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
        told = TOLD.get(name, f"{name.replace('_', ' ')} {{}}").replace("{}", str(shown))
        if name == "truncated" and "longest" in notes:
            told += f" to {notes['longest']} tokens"
        if name == "resampled":
            rates = notes.get("from_rates") or [notes["from_rate"]] if {"from_rates", "from_rate"} & notes.keys() else []
            told += f" from {', '.join(map(str, rates))} Hz" if rates else ""
            told += f" to {notes['to_rate']} Hz" if "to_rate" in notes else ""
        found.append(name.replace("_", " ") if content is True else told)
    return found
