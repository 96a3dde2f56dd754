"""The evaluation of a run: its network, the networks that it is compared with, and what follows from their measurements."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xlearn.data.reads import Roles
from xlearn.data.task import Examples, Task
from xlearn.learners.budgets import reads_labels
from xlearn.learners.comparisons import COMPARISONS, Compared
from xlearn.learners.learner import Learner
from xlearn.measuring import Asked, Measured
from xlearn.measuring.cost import together
from xlearn.phases.checkpoints_by_rule import look
from xlearn.phases.encoder_cache import encode
from xlearn.plan.components import Components
from xlearn.results.forgetting import forgetting
from xlearn.results.frozen_features import frozen_features
from xlearn.results.gains import delta_m, gain, gap_closed
from xlearn.results.opened import Opened
from xlearn.results.predictions import write_predictions
from xlearn.results.retrieval import retrieval
from xlearn.results.robustness import robustness
from xlearn.results.rows import rows_of
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import RUN, code_of
from xlearn.runtime.machine import Machine
from xlearn.runtime.storage import write_tensors, write_text

# The parts of a single-task network's entry that stand beside its task.
SINGLE = ("name", "metrics", "phases", "cost", "steps", "learned", "above_floor")

# The reports of the phases of each network, by its name.
Phases = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Learned:
    """The trained networks of a run: its own, and those that it is compared with."""

    components: Components
    own: Learner
    compared: tuple[Compared, ...]


def outcome(
    learned: Learned, phases: Phases, roles: Roles, config: dict[str, Any], machine: Machine, folder: Path
) -> dict[str, Any]:
    """The content of `result.json`: the configuration and everything that is measured. Opens the test splits, and writes
    predictions and robustness curves.
    """
    components, own, target = learned.components, learned.own, roles["target"]["target"]
    options, opened = components.options, Opened(roles)
    asked = Asked(options.seed, options.metric, machine)
    test = opened("target")
    try:
        with own.keeping("target"):
            found = own.measured(target, test, asked)
    except Problem as problem:
        raise Problem(f"{components.transfer_name}: {problem}") from problem
    measured = {each.place: _measured(each, opened, replace(asked, cached=True)) for each in learned.compared}
    entries = {each.place: _entry(each, measured[each.place], phases, opened, asked) for each in learned.compared}
    result: dict[str, Any] = {
        **_described(learned, roles, config, machine),
        "metrics": found.metrics,
        **found.beside,
        "gain": gain(found.metrics, entries["baseline",]["metrics"], target.labels.metrics),
        "cost": {**own.measuring.cost(own.network, target, test, asked), "trained": own.count()},
        **_private_layers(own),
        "majority": own.measuring.floor(target, test, found),
        **_above_floor(own, target, test, found, asked),
        "steps": _steps(own, phases["own"]),
        "alone": {},
        "selection": sorted({phase.keeping.rule for phase in components.used()}),
        "phases": phases["own"],
    }
    for each in learned.compared:
        _place(result, each.place, entries[each.place])
    for each in result.get(COMPARISONS, {}).values():
        each["gain"] = gain(found.metrics, each["metrics"], target.labels.metrics)
    if frozen := frozen_features(components, own, asked):
        result["frozen_features"] = frozen
    if "bounds" in result:
        result["gap_closed"] = _gap_closed(found.metrics, result, target)
    write_predictions(folder, target, test, found.tensors)
    _write_predictions(
        folder,
        found,
        {each.place: measured[each.place] for each in learned.compared if each.role == "target" and not each.modality},
    )
    if own.selection:
        result["selections"] = _selections(own, target, opened, asked, result)
    if "tasks" in result:
        result |= _tasks(learned, result, found, roles, opened, asked)
    # Tasks learned together are measured already.
    elif lost := forgetting(own, opened, asked):
        result["forgetting"] = lost
    if any(phase.needs.pairs for phase in components.used()) and len(target.inputs) > 1:
        encoded = encode(own.network, test, own.still(), machine)
        result["retrieval"] = retrieval(own.network, encoded, machine)
    if components.robustness and target.measurable:
        result["robustness"] = robustness(components.robustness, own, target, test, asked)
        write_text(folder / "robustness.json", json.dumps(result["robustness"], indent=1))
    return result


def _private_layers(own: Learner) -> dict[str, Any]:
    found = own.network.sharing.report()
    return {"private_layers": found} if found else {}


def _measured(compared: Compared, opened: Opened, asked: Asked) -> Measured:
    learner = compared.learner
    return learner.measured(learner.roles["target"]["target"], _examples(compared, opened), asked)


def _examples(compared: Compared, opened: Opened) -> Examples:
    return opened.of(compared.learner.roles["target"]["target"])


def _entry(compared: Compared, measured: Measured, phases: Phases, opened: Opened, asked: Asked) -> dict[str, Any]:
    """The entry of a compared network in `result.json`."""
    learner = compared.learner
    task = learner.roles["target"]["target"]
    return {
        **({"name": compared.name} if compared.name else {}),
        "metrics": measured.metrics,
        "phases": phases[compared.phases],
        "steps": _steps(learner, phases[compared.phases]),
        "cost": learner.measuring.cost(learner.network, task, _examples(compared, opened), asked),
        "selection": sorted({phase.keeping.rule for phase in learner.every_phase()}),
        **_above_floor(learner, task, _examples(compared, opened), measured, asked),
        **measured.beside,
    }


def _steps(learner: Learner, reports: list[dict[str, Any]]) -> int:
    """The steps of the learner's own phases that read the target, without those of its sources' networks."""
    own = zip(learner.phases, reports[len(reports) - len(learner.phases) :], strict=True)
    return sum(report["steps"] for phase, report in own if reads_labels(phase, "target"))


def _above_floor(learner: Learner, task: Task, examples: Examples, measured: Measured, asked: Asked) -> dict[str, Any]:
    """`learned` and `above_floor`; nothing where there is no floor."""
    found = learner.measuring.above_floor(task, examples, measured, asked)
    return {} if found is None else found.described()


def _place(result: dict[str, Any], place: tuple[str, ...], entry: dict[str, Any]) -> None:
    *path, last = place
    for name in path:
        result = result.setdefault(name, {})
    result[last] = entry


def _write_predictions(folder: Path, found: Measured, compared: Mapping[tuple[str, ...], Measured]) -> None:
    """The run's predictions, and the correct rows of each network on the target's test split, for paired comparisons."""
    tensors = {**found.tensors, **{f"{name}.run": each for name, each in found.correct.items()}}
    for place, measured in compared.items():
        tensors |= {f"{name}.{'.'.join(place)}": right for name, right in measured.correct.items()}
    write_tensors(folder / "predictions.safetensors", tensors)


def _described(learned: Learned, roles: Roles, config: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """The description of a run in its result: configuration, data, input forms, machine and code."""
    tasks = {"target": roles["target"]["target"], **{f"source.{name}": task for name, task in roles["source"].items()}}
    return {
        "config": {name: value for name, value in config.items() if name != "choices"},
        "choices": config["choices"],
        "label_space": tasks["target"].labels.described(),
        "data": {
            name: {"name": task.name, "data": task.data, "fingerprint": task.fingerprint, **rows_of(task), **task.notes}
            for name, task in tasks.items()
        },
        "forms": {name: asdict(spec) for name, spec in learned.own.forms().items()},
        "machine": {**machine.signature(), "platform": platform.platform()},
        "code": code_digest(*RUN),  # the engine's code, the same for all runs of a version
        "code_with_components": code_of(config),
    }


def _tasks(
    learned: Learned, result: dict[str, Any], found: Measured, roles: Roles, opened: Opened, asked: Asked
) -> dict[str, Any]:
    """Multi-task results: per task the metrics, the metrics of its single-task network and the gain, and `delta_m`."""
    own, baseline = learned.own, result["baseline"]
    target: dict[str, Any] = {**baseline, "name": "single task"}
    told: dict[str, Any] = {}
    for role, task in {**roles["source"], **roles["target"]}.items():
        single = result["tasks"][role]["single"] if role != "target" else target
        measured = found
        if role != "target":
            with own.keeping(role):
                measured = own.measured(task, opened(role), asked)
        told[role] = {
            "name": task.name, "metrics": measured.metrics, "single": {key: single[key] for key in SINGLE if key in single},
            "gain": gain(measured.metrics, single["metrics"], task.labels.metrics),
            **_above_floor(own, task, opened(role), measured, asked),
        }  # fmt: skip
    tasks = {**roles["source"], **roles["target"]}
    higher = {name: way for task in tasks.values() for name, way in task.labels.metrics.items()}
    all_parameters = together(own.network, tasks)
    # A change relative to a network that has not learned says nothing about joint learning.
    learned_all = all(each["single"].get("learned", True) for each in told.values())
    pairs = [(each["metrics"], each["single"]["metrics"]) for each in told.values()]
    return {
        "tasks": told,
        "delta_m": delta_m(pairs, higher) if learned_all else {},
        "cost": {**result["cost"], "all_parameters": all_parameters},
    }


def _gap_closed(metrics: dict[str, Any], result: Mapping[str, Any], target: Task) -> dict[str, float]:
    """The share of the gap; nothing where the upper bound has not learned."""
    bounds = {
        name: each for name, each in result.get("bounds", {}).items() if name != "target_only" or each.get("learned", True)
    }
    return gap_closed(metrics, bounds, target.labels.metrics)


def _selections(own: Learner, target: Task, opened: Opened, asked: Asked, result: Mapping[str, Any]) -> dict[str, Any]:
    """Per selection rule, the selected step, its score, and the test metrics of the network at that step."""
    by_step: dict[int, dict[str, Any]] = {}
    for each in own.selection.values():
        if (step := each["step"]) not in by_step:
            with own.keeping(look(step)):
                by_step[step] = own.measured(target, opened("target"), asked).metrics
    return {
        rule: {
            **each, "metrics": by_step[each["step"]],
            "gain": gain(by_step[each["step"]], result["baseline"]["metrics"], target.labels.metrics),
            "gap_closed": _gap_closed(by_step[each["step"]], result, target),
        }
        for rule, each in own.selection.items()
    }  # fmt: skip
