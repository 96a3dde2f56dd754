"""From configuration to components. Everything is built and checked here, before any data are loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from xlearn.config.component import component, split_arguments
from xlearn.config.schema import TrainConfig
from xlearn.errors import Problem, Problems, nearest
from xlearn.hashing import derive
from xlearn.metric_names import HIGHER_IS_BETTER
from xlearn.network import Network
from xlearn.phase import Phase
from xlearn.prepare import TaskSource
from xlearn.splits import check as check_options
from xlearn.stamps import own_code
from xlearn.task import ImageSpec, LabelSpace
from xlearn.task_options import TaskOptions


@dataclass(frozen=True)
class Plan:
    """A run, ready to start: components instead of configuration."""

    config: dict[str, Any]
    sources: tuple[TaskSource, ...]
    target: TaskSource
    encoders: dict[str, partial[Any]]
    fusion: partial[Any]
    sharing: partial[Any]
    start: partial[Any] | None
    pretrain: tuple[Phase, ...]
    transfer: tuple[Phase, ...]
    baseline: tuple[Phase, ...]

    @property
    def carries(self) -> bool:
        return bool(self.config["transfer"]["carry"])

    @property
    def encoder_weights(self) -> bool:
        """Whether an encoder brings weights of its own."""
        return any(each.keywords.get("weights") is not None for each in self.encoders.values())

    def network(self, spec: ImageSpec, spaces: list[LabelSpace], role: str, weights: bool) -> Network:
        """A network for the label spaces, drawn from the seed and the role; `weights`: with the encoders' own."""
        import torch
        from torch import nn

        seed = self.config["seed"]
        torch.manual_seed(derive(seed, "network", role))
        encoders = {}
        for name, each in self.encoders.items():
            without = {"weights": None} if "weights" in each.keywords and not weights else {}
            encoders[name] = each(spec, **without)
        fusion = self.fusion({name: each.width for name, each in encoders.items()})
        heads = {}
        for space in spaces:
            # By label space, so that the head of a task is the same whatever else the network has.
            torch.manual_seed(derive(seed, "head", role, space.key))
            heads[space.key] = nn.Linear(fusion.width, len(space.classes))
        return Network(encoders, fusion, heads)

    def network_document(self, spec: ImageSpec) -> dict[str, Any]:
        """What the network is made of, without the weights it may bring: those are hashed as they are."""
        encoders = {
            name: {key: value for key, value in node.items() if key != "weights"}
            for name, node in self.config["encoder"].items()
        }
        own = [own_code(each) for each in (*self.encoders.values(), self.fusion)]
        return {"encoder": encoders, "fusion": self.config["fusion"], "spec": vars(spec), "code": own}


class _Collector:
    """Builds components and goes on after a problem, so that all of them are told at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def component(self, node: Any, where: str, **options: Any) -> Any:
        try:
            return component(node, where, **options)
        except Problem as problem:
            self.add(problem)
            return None

    def optional(self, node: Any, where: str) -> Any:
        return self.component(node, where) if node else None

    def add(self, problem: Problem) -> None:
        self.problems += problem.problems if isinstance(problem, Problems) else [str(problem)]

    def need(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.problems.append(sentence)


def build(config: dict[str, Any]) -> Plan:
    """Every component of a composed configuration. Raises `Problems` with all that is wrong with it."""
    found = _Collector()
    known = [*(each.name for each in fields(TrainConfig)), "choices"]
    for name in config:
        found.need(name in known, f"{name}: there is no such key. {nearest(name, known)}")
    _check_values(config, found)
    sources = [_task(node, name, f"source.{name}", found) for name, node in config["source"].items()]
    if not config["target"]:
        raise Problem("There is no target. Choose one, e.g. target=optdigits (`xlearn show target` lists them).")
    target = _task(config["target"], config["choices"].get("target", "target"), "target", found)
    encoders = {name: found.component(node, f"encoder.{name}") for name, node in config["encoder"].items()}
    plan = Plan(
        config=config,
        sources=tuple(sources),
        target=target,
        encoders=encoders,
        fusion=found.component(config["fusion"], "fusion"),
        sharing=found.component(config["sharing"], "sharing"),
        start=found.optional(config["pretrain"]["start"], "pretrain.start"),
        pretrain=_chain(config, "pretrain", found),
        transfer=_chain(config, "transfer", found),
        baseline=_chain(config, "baseline", found),
    )
    if not found.problems:
        _check_chain(plan, found)
    if found.problems:
        raise Problems(found.problems)
    return plan


def tasks(config: dict[str, Any]) -> list[TaskSource]:
    """The tasks of a configuration whose own nodes are right, whatever else is wrong with it."""
    named = [(node, name, f"source.{name}") for name, node in config["source"].items()]
    named.append((config["target"], config["choices"].get("target", "target"), "target"))
    right = []
    for node, name, where in named:
        found = _Collector()
        made = _task(node, name, where, found)
        right += [] if found.problems else [made]
    return right


def _check_values(config: Mapping[str, Any], found: _Collector) -> None:
    def one_of(key: str, options: list[str]) -> None:
        found.need(config[key] in options, f"{key}={config[key]}: {nearest(str(config[key]), options)}")

    found.need(0 <= config["seed"] < 2**63, f"seed={config['seed']}: give 0 to 2^63 - 1.")
    one_of("metric", list(HIGHER_IS_BETTER))
    one_of("sampling", ["shuffled", "balanced"])
    found.need(config["evaluations"] >= 1, f"evaluations={config['evaluations']}: give 1 or more.")
    image = config["image"]
    found.need(image["size"] is None or image["size"] >= 1, f"image.size={image['size']}: give 1 or more, or null.")
    found.need(image["channels"] in (None, 1, 3), f"image.channels={image['channels']}: give 1, 3 or null.")


def _task(node: dict[str, Any], name: str, where: str, found: _Collector) -> TaskSource:
    options, rest = split_arguments(node if isinstance(node, dict) else {}, TaskOptions)
    checked = found.component({"_target_": "xlearn.task_options.TaskOptions", **options}, where)
    # A loader is called without anything.
    load = found.component(rest if isinstance(node, dict) else node, where, positional=0)
    chosen = checked() if checked else TaskOptions()
    try:
        check_options(chosen, where)
    except Problem as problem:
        found.add(problem)
    return TaskSource(name, where, load, rest, chosen)


def _chain(config: Mapping[str, Any], chain: str, found: _Collector) -> tuple[Phase, ...]:
    budget = config["budget"]["pretrain" if chain == "pretrain" else "transfer"]
    nodes = config[chain]["phases"].items()
    return tuple(
        _phase(config, f"{chain}.phases.{name}", name, position, node, budget, found)
        for position, (name, node) in enumerate(nodes)
    )


def _phase(
    config: Mapping[str, Any], where: str, name: str, position: int, node: dict[str, Any], budget: dict[str, Any],
    found: _Collector,
) -> Phase:  # fmt: skip
    own = node["epochs"] is not None or node["steps"] is not None
    lasts, lasting = (node, where) if own else (budget, f"budget.{'pretrain' if where.startswith('pretrain') else 'transfer'}")
    values = {key: node[key] if node[key] is not None else budget[key] for key in ("patience", "stop_below", "keep")}
    values |= {"epochs": lasts["epochs"], "steps": lasts["steps"]}
    given = {key: values[key] for key in ("epochs", "steps") if values[key] is not None}
    told = " and ".join(f"{key}={value}" for key, value in given.items()) or "neither epochs nor steps"
    found.need(len(given) == 1, f"{lasting}: {told} set. Set exactly one of epochs and steps, the other to null.")
    for key in ("epochs", "steps", "patience"):
        found.need(values[key] is None or values[key] > 0, f"{where}.{key}={values[key]}: give more than 0, or null.")
    keeps = ["last", "best_source", "best_target"]
    found.need(values["keep"] in keeps, f"{where}.keep={values['keep']}: {nearest(str(values['keep']), keeps)}")
    reads = node["reads"] or ("source" if where.startswith("pretrain") else "target")
    found.need(reads in ("source", "target"), f"{where}.reads={reads}: {nearest(reads, ['source', 'target'])}")
    batch_size = config["batch_size"] if node["batch_size"] is None else node["batch_size"]
    found.need(batch_size >= 1, f"{where + '.' if node['batch_size'] else ''}batch_size={batch_size}: give 1 or more.")
    nodes = {key: node[key] or config[key] for key in ("objective", "optimizer", "schedule")}
    penalties = {**node["penalties"], **({"regularizer": config["regularizer"]} if config["regularizer"] else {})}
    augment = config["augment"] if node["augment"] else {}
    made = {key: found.component(each, key if not node[key] else f"{where}.{key}") for key, each in nodes.items()}
    _try_optimizer(made["optimizer"], where if node["optimizer"] else "optimizer", found)
    extra = [found.component(each, key if key == "regularizer" else f"{where}.{key}") for key, each in penalties.items()]
    trainable = found.optional(node["trainable"], f"{where}.trainable")
    balance = found.component(config["balance"], "balance")
    augments = [found.component(each, f"augment.{key}") for key, each in augment.items()]
    every = [*made.values(), *extra, balance, *augments, *([trainable] if trainable else [])]
    document = {
        "reads": reads, "position": position, "trainable": node["trainable"], **nodes, "penalties": penalties,
        "balance": config["balance"], "augment": augment, "batch_size": batch_size, "sampling": config["sampling"],
        **values, "own_code": [own_code(each) for each in every if each],
    }  # fmt: skip
    return Phase(
        name=name, position=position, reads=reads, trainable=trainable, objectives=(made["objective"], *extra),
        balance=balance, optimizer=made["optimizer"], schedule=made["schedule"], augment=tuple(augments),
        batch_size=batch_size, balanced=config["sampling"] == "balanced", document=document, **values,
    )  # fmt: skip


def _try_optimizer(optimizer: partial[Any] | None, where: str, found: _Collector) -> None:
    """Optimizers check the ranges of their arguments when they are made."""
    import torch

    try:
        if optimizer is not None:
            optimizer([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, RuntimeError, TypeError) as error:
        found.add(Problem(f"{where}: {error}. Change the argument it names."))


def _check_chain(plan: Plan, found: _Collector) -> None:
    choices = plan.config["choices"]
    if any(phase.reads == "source" for phase in (*plan.pretrain, *plan.transfer)):
        found.need(
            bool(plan.sources),
            f"pretrain={choices.get('pretrain')} trains on a source, but there is none. Choose one (source=mnist5k), or "
            "pretrain=none with an encoder that has weights.",
        )
    if plan.carries and not plan.pretrain and plan.start is None:
        found.need(
            plan.encoder_weights,
            f"transfer={choices.get('transfer')} carries weights over, but nothing was learned before: pretrain=none and "
            "an encoder without weights. Use pretrain=supervised, encoder.image.weights, or transfer=scratch.",
        )
    found.need(not plan.config["baseline"]["carry"], "baseline: the baseline must not copy anything (carry: false).")
