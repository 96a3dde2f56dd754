"""The lines of a summary on the worth of its comparisons: steps, and networks that have not learned. Imports nothing heavy."""

from collections.abc import Iterator, Mapping
from typing import Any

from xlearn.commands.title import words_of
from xlearn.commands.units import compact


def steps(result: Mapping[str, Any]) -> list[str]:
    """The steps on the target of the run and of its baseline; nothing for results that lack them."""
    baseline = result["baseline"]
    if "steps" not in result or "steps" not in baseline or not (result["steps"] or baseline["steps"]):
        return []
    before = sum(phase.get("steps", 0) for phase in result["phases"]) - result["steps"]
    other = f"; in other phases: {before:,}" if before > 0 else ""
    return [f"steps on the target: {result['steps']:,}{other}; {baseline.get('name', 'baseline')}: {baseline['steps']:,}"]


def compared(result: Mapping[str, Any]) -> list[str]:
    """A line for each network from scratch with other encoders: its main metric, the gain over it, and its steps."""
    metric = result["config"]["metric"]
    return [
        f"{name} from scratch: {metric.replace('_', ' ')} {each['metrics'][metric]:.4f}{mark(each)}, gain over it "
        f"{each['gain'][metric]:+.4f} ({each['steps']:,} steps{_costs(each)})"
        for name, each in (result.get("comparisons") or {}).items()
    ]


def _costs(each: Mapping[str, Any]) -> str:
    return f", {compact(each['cost']['parameters'])} parameters" if each.get("cost") else ""


def damaged(result: Mapping[str, Any]) -> list[str]:
    """A line for each source whose training has damaged a pretrained encoder."""
    return [
        f"source {role}: validation {each['metric'].replace('_', ' ')} {each['trained']:.4f} after its training, below "
        f"{each['frozen']:.4f} of a linear probe on the frozen pretrained features. Use pretrain=probe or none, "
        "a lower encoder.MODALITY.rate, or a longer training"
        for role, each in (result.get("frozen_features") or {}).items()
        if each["below"]
    ]


def unmeasured(result: Mapping[str, Any]) -> list[str]:
    """The lines of a run whose target has no labels: no metric, and the number of predictions."""
    metric = result["config"]["metric"].replace("_", " ")
    count = (result["data"].get("target") or {}).get("without_labels", 0)
    return [
        f"  {metric}: n/a; gain: n/a (no example of the target has a label, so nothing can be measured on it)",
        f"  predicted: {count:,} example(s), in predictions.csv",
    ]


def selected(result: Mapping[str, Any]) -> list[str]:
    """The steps that the rules select, where nothing is measured."""
    rules = result.get("selections") or {}
    listed = ", ".join(f"{rule} {each['step']:,}" for rule, each in rules.items())
    return [f"step by selection rule: {listed}"] if listed else []


def retrieval(result: Mapping[str, Any]) -> list[str]:
    """A line for each direction between two modalities."""
    lines = []
    for direction, found in (result.get("retrieval") or {}).items():
        recalls = ", ".join(f"{name} {value:.4f}" for name, value in found.items() if name.startswith("recall@"))
        chance = f", chance@10 {found['chance@10']:.4f}" if "chance@10" in found else ""
        lines.append(f"retrieval {direction}: {recalls}{chance} ({found['items']} items)")
    return lines


def lacking(result: Mapping[str, Any]) -> list[str]:
    """A line for each split of the target with labels that has no example of some classes, and what the averages run over."""
    found = ((result.get("data") or {}).get("target") or {}).get("lacking") or {}
    lines = [f"no {split} example of {words_of(dict(result))['group']} {', '.join(found[split])}" for split in found]
    per_class = result["metrics"].get("per_class") or {}
    if "test" in found and per_class:
        occurring = sum(each["examples"] > 0 for each in per_class.values())
        lines.append(
            f"averages over classes: balanced accuracy and worst class over the {occurring} of {len(per_class)} classes with "
            "test examples; macro F1, precision and recall over these and those that are predicted"
        )
    return lines


def unknown(result: Mapping[str, Any]) -> list[str]:
    """A line on the initial weights whose training data are unknown."""
    names = ", ".join(result.get("unknown") or ())
    return [f"unknown: the examples that these weights have learned from, test examples perhaps: {names}"] if names else []


def mark(part: Mapping[str, Any]) -> str:
    """The words behind the number of a network that has not learned."""
    return "" if part.get("learned", True) else " (not learned)"


def not_learned(result: dict[str, Any]) -> list[str]:
    """A line for each network of the run that is not better than the floor, and one on what follows."""
    found = {name: part for name, part in _networks(result) if not part.get("learned", True)}
    if not found:
        return []
    lines = [f"not learned: {name} ({_interval(part['above_floor'], result)})" for name, part in found.items()]
    if [*found] != [RUN]:
        lines.append(
            "a gain over a network that has not learned is no sign of transfer: raise budget.transfer.steps or the labels"
        )
    return lines


RUN = "this run"


def _networks(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    baseline = result["baseline"]
    yield RUN, result
    yield baseline.get("name", "baseline"), baseline
    yield from (result.get("bounds") or {}).items()
    yield from (result.get("comparisons") or {}).items()
    for name, each in (result.get("alone") or {}).items():
        yield f"{name} alone", each
    for role, each in (result.get("tasks") or {}).items():
        if role != "target":  # its single-task network is the baseline
            yield f"single task {each['name']}", each["single"]


def _interval(above: Mapping[str, Any], result: dict[str, Any]) -> str:
    metric, floor = above["metric"].replace("_", " "), words_of(result)["floor"]
    ends = (above[name] for name in ("difference", "low", "high"))
    value, low, high = ("undefined" if each is None else f"{each:+.4f}" for each in ends)
    return f"better than the {floor} by {value} in {metric}, 95 % interval {low} to {high}"
