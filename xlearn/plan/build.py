"""Build the components of a run from its configuration, and check them before any data are loaded."""

from dataclasses import fields, replace
from functools import partial
from typing import Any

from xlearn.config.collector import Collector
from xlearn.config.component import split_arguments
from xlearn.config.schema import TrainConfig
from xlearn.config.values import check_values
from xlearn.data.options import TaskOptions
from xlearn.data.splits import check as check_options
from xlearn.data.task_source import TaskSource
from xlearn.label_spaces import LabelSpace
from xlearn.measuring import Measuring
from xlearn.plan.chain_checks import check_chains
from xlearn.plan.comparison import Comparison
from xlearn.plan.components import Components, Options, rate_of
from xlearn.plan.objective_checks import check_objectives
from xlearn.plan.phases_from_config import chain
from xlearn.plan.structures import PrivateLayers, Structure, Together
from xlearn.pretrain import Loaded, Start
from xlearn.runtime.errors import Problem, Problems, nearest


def build(config: dict[str, Any]) -> Components:
    """Build every component of a composed configuration. Raises `Problems` with all errors at once."""
    found = Collector()
    known = [*(each.name for each in fields(TrainConfig)), "choices"]
    for name in (each for each in config if each not in known):
        found.need(False, f"{name}: there is no such key. {nearest(name, known)}")
    check_values(config, found)
    # Sorted by name: `source=[a,b]` and `source=[b,a]` are one run.
    if not config["target"]:
        raise Problem("There is no target. Choose one, e.g. target=optdigits (`xlearn show target` lists them).")
    target = _task(config["target"], config["choices"].get("target", "target"), "target", found)
    sources = [_source(node, name, target, found) for name, node in sorted(config["source"].items())]
    made_by = {
        group: {name: found.component(node, f"{group}.{name}") for name, node in config[group].items()}
        for group in ("encoder", "teacher")
    }
    for where, each in ((f"{group}.{name}", each) for group in ("encoder", "teacher") for name, each in made_by[group].items()):
        rate = rate_of(each) if each and not found.problems else 1.0
        found.need(
            rate > 0, f"{where}.rate={rate:g}: give more than 0. To freeze the encoder, use transfer=linear_probe or frozen."
        )
    chains = {name: chain(config, name, found) for name in ("pretrain", "transfer", "baseline")}
    sharing, adds = found.component(config["sharing"], "sharing"), found.optional(config["transfer"]["adds"], "transfer.adds")
    start = found.optional(config["pretrain"]["start"], "pretrain.start")
    measuring, baseline_measuring = _measuring(config, found)
    label_space = found.component(config["label_space"], "label_space", positional=2)
    further = [
        found.component(_with_encoders(node, f"{where}.{name}", found), f"{where}.{name}", positional=0, kind=Comparison)
        for where, nodes in (("transfer.comparisons", config["transfer"]["comparisons"]), ("comparison", config["comparison"]))
        for name, node in nodes.items()
    ]
    components = Components(
        options=Options(
            **{name: config[name] for name in ("seed", "metric", "evaluations", "checkpoint_seconds", "force")},
            statistics=config["normalization_statistics"],
            modalities={name: config[name] for name in config["encoder"] if name in config},
        ),
        names=config["choices"],
        sources=tuple(sources),
        target=target,
        label_space=label_space.func if label_space else LabelSpace,
        encoders=made_by["encoder"],
        teacher=made_by["teacher"],
        fusion=found.component(config["fusion"], "fusion"),
        trunk=found.component(config["trunk"], "trunk"),
        sharing=sharing,
        carries=bool(config["transfer"]["carry"]),
        structure=_structure(config, sharing, adds, found),
        start=Loaded(start) if start else Start(),
        **chains,
        measuring=measuring,
        baseline_measuring=baseline_measuring,
        comparisons=tuple(each() for each in further if each),
        robustness={name: found.component(node, f"robustness.{name}") for name, node in config["robustness"].items()},
    )
    if not found.problems:
        check_chains(components, found)
        found.need(not config["baseline"]["carry"], "baseline: the baseline must not copy weights. Set carry: false.")
        own = {
            name: {phase for phase, node in config[name]["phases"].items() if node["objective"]}
            for name in ("pretrain", "transfer")
        }
        check_objectives(components, found.component(config["objective"], "objective"), own, found)
    if found.problems:
        raise Problems(found.problems)
    return components


def _with_encoders(node: Any, where: str, found: Collector) -> Any:
    """The node of a comparison, with the encoders in its argument `encoder` built."""
    encoders = node.get("encoder") if isinstance(node, dict) else None
    if not isinstance(encoders, dict):
        return node
    return {**node, "encoder": {name: found.component(each, f"{where}.encoder.{name}") for name, each in encoders.items()}}


def tasks(config: dict[str, Any]) -> list[TaskSource]:
    """The tasks with a valid configuration; errors elsewhere in the configuration are ignored."""
    target, wrong = _task(config["target"], config["choices"].get("target", "target"), "target", found := Collector()), found
    right = []
    for name, node in config["source"].items():
        found = Collector()
        made = _source(node, name, target, found)
        right += [] if found.problems else [made]
    return [*right, *([] if wrong.problems else [target])]


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


def _source(node: dict[str, Any], name: str, target: TaskSource, found: Collector) -> TaskSource:
    """A source. Unless it has its own draw it follows the target's: of the same data, both have the same test rows."""
    made = _task(node, name, f"source.{name}", found)
    if made.options.draw is not None:
        return made
    return replace(made, options=replace(made.options, draw=target.options.draw))


def _structure(config: dict[str, Any], sharing: Any, adds: Any, found: Collector) -> Structure:
    joins, statistics = config["transfer"]["joins"], config["joint"]["statistics"]
    found.need(
        joins or statistics == "shared",
        "joint.statistics=task is for tasks that are learned together. Use transfer=joint, or joint.statistics=shared.",
    )
    found.need(
        not (joins and adds),
        f"transfer={config['choices'].get('transfer')}: adds gives the target's network private layers, but joins trains one "
        "network for several tasks. Use transfer=joint with sharing=lora or sharing=adapter.",
    )
    if adds:
        return PrivateLayers(adds)
    return Together(sharing, statistics) if joins else Structure()


def _measuring(config: dict[str, Any], found: Collector) -> tuple[Any, Any]:
    """The measuring of the run, and of its baseline, which may have another base learner. By default the base learner is that
    of the last phase of pretraining that has one.
    """
    named = [(f"pretrain.phases.{name}", phase["base_learner"]) for name, phase in config["pretrain"]["phases"].items()]
    own = [*named, ("transfer", config["transfer"]["base_learner"])]
    place, node = next(((place, each) for place, each in reversed(own) if each), ("transfer", None))
    where, other = ("baseline", config["baseline"]["base_learner"]) if config["baseline"]["base_learner"] else (place, node)
    made = found.component(
        config["transfer"]["measuring"] or {"_target_": "xlearn.measuring.TestSplit"},
        "transfer.measuring",
        positional=1,
        kind=Measuring,
    )
    learners = [found.optional(each, f"{at}.base_learner") for at, each in ((place, node), (where, other))]
    try:
        return tuple(made(each) for each in learners) if made else (None, None)
    except Problem as problem:
        found.add(problem)
    return None, None
