"""Build the components of a run from its configuration, and check them before any data are loaded."""

import inspect
from dataclasses import fields
from functools import partial
from typing import Any

from xlearn.config.collector import Collector
from xlearn.config.component import split_arguments
from xlearn.config.schema import TrainConfig
from xlearn.config.values import check_values
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import TaskSource
from xlearn.data.splits import check as check_options
from xlearn.plan.components import Components
from xlearn.plan.episodic_plan import episodic
from xlearn.plan.phases_from_config import chain
from xlearn.runtime.errors import Problem, Problems, nearest


def build(config: dict[str, Any]) -> Components:
    """Build every component of a composed configuration. Raises `Problems` with all errors at once."""
    found = Collector()
    known = [*(each.name for each in fields(TrainConfig)), "choices"]
    for name in config:
        found.need(name in known, f"{name}: there is no such key. {nearest(name, known)}")
    check_values(config, found)
    # Sorted by name: `source=[a,b]` and `source=[b,a]` are one run.
    sources = [_task(node, name, f"source.{name}", found) for name, node in sorted(config["source"].items())]
    if not config["target"]:
        raise Problem("There is no target. Choose one, e.g. target=optdigits (`xlearn show target` lists them).")
    target = _task(config["target"], config["choices"].get("target", "target"), "target", found)
    made, teacher = (
        {name: found.component(node, f"{group}.{name}") for name, node in config[group].items()}
        for group in ("encoder", "teacher")
    )
    components = Components(
        config=config,
        sources=tuple(sources),
        target=target,
        encoders=made,
        teacher=teacher,
        fusion=found.component(config["fusion"], "fusion"),
        trunk=found.component(config["trunk"], "trunk"),
        sharing=found.component(config["sharing"], "sharing"),
        adds=found.optional(config["transfer"]["adds"], "transfer.adds"),
        start=found.optional(config["pretrain"]["start"], "pretrain.start"),
        pretrain=chain(config, "pretrain", found),
        transfer=chain(config, "transfer", found),
        baseline=chain(config, "baseline", found),
        **episodic(config, found),
        robustness={name: found.component(node, f"robustness.{name}") for name, node in config["robustness"].items()},
    )
    if not found.problems:
        _check_chain(components, found)
    if found.problems:
        raise Problems(found.problems)
    return components


def tasks(config: dict[str, Any]) -> list[TaskSource]:
    """The tasks with a valid configuration; errors elsewhere in the configuration are ignored."""
    named = [(node, name, f"source.{name}") for name, node in config["source"].items()]
    named.append((config["target"], config["choices"].get("target", "target"), "target"))
    right = []
    for node, name, where in named:
        found = Collector()
        made = _task(node, name, where, found)
        right += [] if found.problems else [made]
    return right


def encoders(config: dict[str, Any]) -> dict[str, partial[Any]]:
    """The encoders that can be built; errors elsewhere in the configuration are ignored."""
    made = {name: Collector().component(node, f"encoder.{name}") for name, node in config["encoder"].items()}
    return {name: each for name, each in made.items() if each is not None}


def _task(node: dict[str, Any], name: str, where: str, found: Collector) -> TaskSource:
    options, rest = split_arguments(node if isinstance(node, dict) else {}, TaskOptions)
    checked = found.component({"_target_": "xlearn.data.options.TaskOptions", **options}, where)
    # A loader takes no positional arguments.
    load = found.component(rest if isinstance(node, dict) else node, where, positional=0)
    chosen = checked() if checked else TaskOptions()
    try:
        check_options(chosen, where)
    except Problem as problem:
        found.add(problem)
    return TaskSource(name, where, load, rest, chosen)


def _check_chain(components: Components, found: Collector) -> None:
    choices, learns = components.config["choices"], components.carries or components.teaches
    # If no weights are copied and no teacher is needed, only phases of the transfer can read the source.
    chains = (*(components.pretrain if learns else ()), *components.transfer)
    reads_source = [phase for phase in chains if phase.reads not in ("target", "unlabeled", "inputs")]
    if any(phase.reads != "both" or phase.taught_by is None for phase in reads_source):
        pretrains = components.pretrain and learns
        reader = f"pretrain={choices.get('pretrain')}" if pretrains else f"transfer={choices.get('transfer')}"
        found.need(
            bool(components.sources),
            f"{reader} trains on a source, but there is none. Choose one (source=mnist5k), or use "
            "pretrain=none with a pretrained encoder. To adapt without source data, use pretrain=checkpoint with "
            "transfer=shot, tent or adabn.",
        )
    if components.carries and not components.pretrain and components.start is None:
        found.need(
            bool(components.pretrained_of("source")),
            f"transfer={choices.get('transfer')} copies weights, but there are no learned weights: pretrain=none, and "
            "no encoder has published weights to copy. Use pretrain=supervised, encoder.image.weights, or transfer=scratch "
            "(with fixed features, such as efficientnet_features, it trains the head on them).",
        )
    joint = components.config["joint"]
    found.need(
        (components.joins and not components.carries) or not inspect.isclass(components.sharing.func),
        f"sharing={choices.get('sharing')} is for tasks that are learned together, but transfer={choices.get('transfer')} "
        "copies weights. Use transfer=joint, or a sharing that selects the weights to copy (sharing=all).",
    )
    found.need(
        not (components.joins and not components.carries and components.start is not None),
        f"pretrain={choices.get('pretrain')} loads weights, but transfer={choices.get('transfer')} copies none. Use "
        "pretrain=none, or a transfer that copies weights, e.g. finetune.",
    )
    found.need(
        components.joins or joint["statistics"] == "shared",
        "joint.statistics=task is for tasks that are learned together. Use transfer=joint, or joint.statistics=shared.",
    )
    balanced = components.config["balance"].get("_target_") != "xlearn.balance.equal"
    several = len(components.sources) > 1 or any(phase.reads == "both" for phase in components.transfer)
    found.need(
        several or not balanced,
        f"balance={choices.get('balance')} weighs the losses of several tasks, but no phase reads more than one task. Use "
        "transfer=joint, several sources (source=[a,b]), or balance=equal.",
    )
    found.need(
        joint["tasks"] == "all" or not balanced,
        f"balance={choices.get('balance')} needs every task in every step, but joint.tasks={joint['tasks']} samples one. Use "
        "joint.tasks=all, or balance=equal.",
    )
    found.need(
        not components.adapts or (joint["tasks"] == "all" and not components.joins),
        f"transfer={choices.get('transfer')} compares the domains in every step. It does not work with "
        f"joint.tasks={joint['tasks']} and joins={str(components.joins).lower()}. Use joint.tasks=all and joins=false.",
    )
    found.need(not components.config["baseline"]["carry"], "baseline: the baseline must not copy weights. Set carry: false.")
    _check_teachers(components, found)


def _check_teachers(components: Components, found: Collector) -> None:
    transfer = f"transfer={components.config['choices'].get('transfer')}"
    for name, phases in (("pretrain", components.pretrain), ("baseline", components.baseline)):
        taught = [phase.name for phase in phases if phase.taught_by in ("source", "sources")]
        found.need(not taught, f"{name}.phases.{'.'.join(taught[:1])}.taught_by: only phases of the transfer have teachers.")
    found.need(
        not (components.network_per_source and components.carries),
        f"{transfer}: taught_by: sources trains one network per source, but carry: true copies from a single network. Set "
        "carry: false, or use taught_by: source.",
    )
    found.need(
        not components.teacher or (components.teaches and not components.carries),
        f"teacher.{next(iter(components.teacher), '')} sets the teacher's encoder, but {transfer} "
        f"{'copies weights' if components.teaches else 'has no teacher'}. Use transfer=kd, or teacher/...=same.",
    )
    found.need(
        not components.teaches or bool(components.pretrain) or components.start is not None,
        f"{transfer} learns from a teacher, but no phase trains the teacher. Use pretrain=supervised, probe or checkpoint.",
    )
    taught = [phase for phase in components.transfer if phase.taught_by is not None]
    found.need(
        not taught or components.config["joint"]["tasks"] == "all",
        f"joint.tasks={components.config['joint']['tasks']}: distillation ({transfer}) needs joint.tasks=all, because a "
        "sampled batch may contain no task the teacher can read.",
    )
    own = all(node["objective"] for node in components.config["transfer"]["phases"].values())
    chosen = components.config["choices"].get("objective", "cross_entropy")
    found.need(
        not (taught and own) or chosen in ("cross_entropy", "supervised"),
        f"objective={chosen} would change the teacher and the baseline, but not {transfer}, because its phases set their "
        "objectives. Leave it out, or write a transfer that uses it (docs/adding-a-method.md).",
    )
    found.need(
        components.adds is None or all(phase.reads in ("target", "unlabeled") for phase in components.transfer),
        f"{transfer}: adds gives the target's network private layers, but a phase also reads sources. Leave adds out, or "
        "set reads to target or unlabeled.",
    )
    found.need(
        components.adds is None or not components.joins,
        f"{transfer}: adds gives the target's network private layers, but joins trains one network for several tasks. Use "
        "transfer=joint with sharing=lora or sharing=adapter.",
    )
