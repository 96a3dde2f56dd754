"""The evaluation on the target's test split, opened once: metrics of the run, its baseline, bounds and unimodal learners."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Examples, Task, TextSpec
from xlearn.learners.learner import Learner
from xlearn.networks.evaluate import logits
from xlearn.phases.checkpoints_by_rule import look
from xlearn.phases.encoder_cache import encode
from xlearn.phases.phase import Roles, needs_pairs
from xlearn.plan.components import Components
from xlearn.results.baseline_logits import predictions
from xlearn.results.cost import cost, together
from xlearn.results.forgetting import forgetting
from xlearn.results.gains import baseline_name, delta_m, floor, gain, gap_closed
from xlearn.results.retrieval import retrieval
from xlearn.robustness._noise import UNKNOWN, noise, unit
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import RUN, code_of
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine
from xlearn.runtime.storage import write_tensors, write_text


@dataclass(frozen=True)
class Learned:
    """The trained learners of a run: its own, the baseline, one per modality (`alone`), one per source task (`single`), and the
    bounds."""

    components: Components
    own: Learner
    baseline: Learner
    alone: dict[str, Learner]
    single: dict[str, Learner]
    bounds: dict[str, Learner] = field(default_factory=dict)


def outcome(
    learned: Learned, phases: dict[str, list[dict[str, Any]]], roles: Roles, machine: Machine, folder: Path
) -> dict[str, Any]:
    """The measured content of `result.json`. Opens the test split, and writes predictions and robustness curves."""
    components, target = learned.components, roles["target"]["target"]
    config, space = components.config, target.labels
    test = target.test.open()

    def tokenised(learner: Learner, examples: Examples) -> Examples:
        # Pretrained encoders that no phase trained encode a data set once for all runs.
        still = sorted((components.pretrained_of("target") & learner.network.encoder.keys()) - learner.moved())
        return encode(learner.network, examples, still, machine)

    def predicted(learner: Learner, examples: Examples) -> Tensor:
        return logits(learner.network, tokenised(learner, examples), machine)

    def compared_with(learner: Learner, examples: Examples) -> Tensor:
        # Cached: other runs of a sweep have the same baselines.
        return predictions(learner.network, tokenised(learner, examples), machine)

    own = learned.own
    with own.keeping("target"):
        found = predicted(own, test)
    metrics = space.measure(found, test.labels)
    # Logits on the test split: the metrics and the rows that each network predicts correctly follow from them.
    logits_of = {"run": found, "baseline": compared_with(learned.baseline, test)}
    compared = space.measure(logits_of["baseline"], test.labels)
    alone = {name: space.measure(compared_with(each, test.only(name)), test.labels) for name, each in learned.alone.items()}
    used = (*components.transfer, *(components.pretrain if components.carries or components.teaches else ()))
    result: dict[str, Any] = {
        **described(learned, roles, machine),
        "metrics": metrics,
        "baseline": {
            "name": baseline_name(config, target), "metrics": compared, "phases": phases["baseline"],
            "cost": cost(learned.baseline.network, target),
        },
        "gain": gain(metrics, compared, space.metrics),
        "cost": {**cost(own.network, target), "trained": own.count()},
        "majority": floor(target, test),
        "alone": {name: {"metrics": alone[name], "phases": phases[name]} for name in alone},
        "selection": sorted({phase.keep for phase in used}),
        "phases": phases["own"],
    }  # fmt: skip
    if learned.bounds:
        result["bounds"] = {}
        for name, each in learned.bounds.items():
            # The source's network may be both the baseline and a bound.
            again = result["baseline"] if each is learned.baseline else None
            logits_of[f"bounds.{name}"] = logits_of["baseline"] if again else compared_with(each, test)
            result["bounds"][name] = {
                "metrics": again["metrics"] if again else space.measure(logits_of[f"bounds.{name}"], test.labels),
                "phases": phases[f"bound {name}"], "cost": again["cost"] if again else cost(each.network, target),
                "selection": sorted({phase.keep for phase in each.every_phase()}),
            }  # fmt: skip
        result["gap_closed"] = gap_closed(metrics, result["bounds"], space.metrics)
    # The correct rows of each network, for paired comparisons.
    correct = {f"correct.{name}": space.correct(each, test.labels) for name, each in logits_of.items()}
    correct = {name: each for name, each in correct.items() if each is not None}
    given = {"logits": found, "labels": test.labels, "rows": test.rows, **correct}
    write_tensors(folder / "predictions.safetensors", given)
    if own.selection:
        result["selections"] = selections(own, lambda: space.measure(predicted(own, test), test.labels), result)
    if learned.components.joins:
        single = {"metrics": compared, "phases": phases["baseline"], "cost": result["baseline"]["cost"]}
        result["cost"]["all_parameters"] = together(own.network, {**roles["source"], "target": target})
        result |= several(learned, phases, roles, (predicted, compared_with), {"target": (metrics, single)})
    # Tasks learned together are measured already.
    if lost := {} if components.joins else forgetting(own, machine):
        result["forgetting"] = lost
    if any(needs_pairs(phase) for phase in used) and len(target.inputs) > 1:
        result["retrieval"] = retrieval(learned.own.network, tokenised(learned.own, test), machine)
    if components.robustness:
        result["robustness"] = robustness(components, lambda examples: predicted(learned.own, examples), test)
        write_text(folder / "robustness.json", json.dumps(result["robustness"], indent=1))
    return result


def described(learned: Learned, roles: Roles, machine: Machine) -> dict[str, Any]:
    """The description of a run in its result: configuration, data, input forms, machine and code."""
    config = learned.components.config
    tasks = {"target": roles["target"]["target"], **{f"source.{name}": task for name, task in roles["source"].items()}}
    return {
        "config": {name: value for name, value in config.items() if name != "choices"},
        "choices": config["choices"],
        "label_space": tasks["target"].labels.described(),
        "data": {
            name: {"name": task.name, "data": task.data, "fingerprint": task.fingerprint, **task.notes}
            for name, task in tasks.items()
        },
        "forms": {name: asdict(spec) for name, spec in learned.own.forms().items()},
        "machine": {**machine.signature(), "platform": platform.platform()},
        "code": code_digest(*RUN),  # the engine's code, the same for all runs of a version
        "code_with_components": code_of(config),
    }


def several(
    learned: Learned,
    phases: dict[str, list[dict[str, Any]]],
    roles: Roles,
    asked: tuple[Callable[[Learner, Examples], Tensor], Callable[[Learner, Examples], Tensor]],
    target: dict[str, tuple[dict[str, Any], dict[str, Any]]],
) -> dict[str, Any]:
    """Multi-task results: per task the metrics, the metrics of its single-task learner and the gain, and `delta_m`.

    `asked`: functions that predict with the run's own network, and (cached) with the others. `target`: the target's metrics
    and its single-task result. Opens the test splits of the sources.
    """
    predicted, compared_with = asked
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    tasks = {**roles["source"], **roles["target"]}
    for role, task in roles["source"].items():
        test, space = task.test.open(), task.labels
        with learned.own.keeping(role):
            metrics = space.measure(predicted(learned.own, test), test.labels)
        alone = learned.single[role]
        before = space.measure(compared_with(alone, test), test.labels)
        spent: dict[str, Any] = {"metrics": before, "phases": phases[f"single {role}"], "cost": cost(alone.network, task)}
        found[role] = (metrics, spent)
    told: dict[str, Any] = {
        role: {
            "name": tasks[role].name, "metrics": metrics, "single": {"name": "single task", **single},
            "gain": gain(metrics, single["metrics"], tasks[role].labels.metrics),
        }
        for role, (metrics, single) in {**found, **target}.items()
    }  # fmt: skip
    pairs = [(each["metrics"], each["single"]["metrics"]) for each in told.values()]
    higher = {name: way for task in tasks.values() for name, way in task.labels.metrics.items()}
    return {"tasks": told, "delta_m": delta_m(pairs, higher)}


def selections(own: Learner, measured: Callable[[], dict[str, Any]], result: Mapping[str, Any]) -> dict[str, Any]:
    """Per selection rule, the selected step, its score, and the test metrics of the network at that step."""
    by_step: dict[int, dict[str, Any]] = {}
    higher = result["label_space"]["higher_is_better"]
    for each in own.selection.values():
        if (step := each["step"]) not in by_step:
            with own.keeping(look(step)):
                by_step[step] = measured()
    return {
        rule: {
            **each, "metrics": by_step[each["step"]],
            "gain": gain(by_step[each["step"]], result["baseline"]["metrics"], higher),
            "gap_closed": gap_closed(by_step[each["step"]], result.get("bounds", {}), higher),
        }
        for rule, each in own.selection.items()
    }  # fmt: skip


def check_robustness(components: Components, target: Task) -> None:
    """Raise `Problem`, before any training, for a robustness option with a missing modality or an invalid level."""
    there = target.train if len(target.train) else target.unlabeled
    few = there.subset(torch.arange(min(2, len(there))))
    for name, spoil in components.robustness.items():
        if not spoil.keywords["levels"]:
            raise Problem(f"robustness.{name}.levels=[]: give at least one level, e.g. 0.5.")
        spec = target.inputs.get(spoil.keywords["modality"])
        if spoil.func is noise and isinstance(spec, TextSpec) and spec.unknown != UNKNOWN:
            raise Problem(
                f"robustness.{name}: noise in texts replaces tokens with the unknown token {UNKNOWN}, which only tokenisers "
                "trained by xlearn have. Choose another encoder/text, or robustness=missing."
            )
        for level in spoil.keywords["levels"]:
            spoil(few, level, torch.Generator().manual_seed(0))


def robustness(components: Components, predicted: Any, test: Examples) -> dict[str, Any]:
    """The metric on test inputs corrupted at increasing levels: `{name: {modality, levels, metric: [...]}}`.

    All levels use the same seed, so that higher levels corrupt a superset of the inputs.
    """
    metric, curves = components.config["metric"], {}
    for name, spoil in components.robustness.items():
        values = []
        for level in spoil.keywords["levels"]:
            generator = torch.Generator().manual_seed(derive(components.config["seed"], "robustness", name))
            spoiled = spoil(test, level, generator)
            values.append(test.space.score(metric, predicted(spoiled), spoiled.labels))
        modality = spoil.keywords["modality"]
        curves[name] = {"modality": modality, "levels": spoil.keywords["levels"], metric: values}
        if spoil.func is noise:
            curves[name]["unit"] = unit(test, modality)
    return curves
