"""From configuration to components. Everything is built and checked here, before any data are loaded."""

import inspect
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from xlearn.chains import chain
from xlearn.config.collector import Collector
from xlearn.config.component import split_arguments
from xlearn.config.schema import TrainConfig
from xlearn.config.values import check_values
from xlearn.errors import Problem, Problems, nearest
from xlearn.fusion.concat import Concat
from xlearn.hashing import derive
from xlearn.joint import join
from xlearn.network import Network
from xlearn.phase import Phase
from xlearn.prepare import TaskSource
from xlearn.splits import check as check_options
from xlearn.stamps import own_code
from xlearn.task import LabelSpace, Spec, Task
from xlearn.task_options import TaskOptions


@dataclass(frozen=True)
class Plan:
    """A run, ready to start: components instead of configuration."""

    config: dict[str, Any]
    sources: tuple[TaskSource, ...]
    target: TaskSource
    encoders: dict[str, partial[Any]]
    fusion: partial[Any]
    trunk: partial[Any]
    sharing: partial[Any]
    start: partial[Any] | None
    pretrain: tuple[Phase, ...]
    transfer: tuple[Phase, ...]
    baseline: tuple[Phase, ...]
    robustness: dict[str, partial[Any]]

    @property
    def carries(self) -> bool:
        return bool(self.config["transfer"]["carry"])

    @property
    def teaches(self) -> bool:
        return bool(self.config["transfer"]["teaches"])

    @property
    def joins(self) -> bool:
        return bool(self.config["transfer"]["joins"])

    @property
    def reads_source(self) -> bool:
        """Whether a run learns from the sources: to carry something over, or because a phase reads them."""
        return self.carries or any(phase.reads != "target" for phase in self.transfer)

    @property
    def pretrained(self) -> frozenset[str]:
        """The modalities whose encoders bring weights of their own."""
        return frozenset(name for name, each in self.encoders.items() if each.keywords.get("weights") is not None)

    def network(
        self, specs: Mapping[str, Spec], spaces: list[LabelSpace], role: str, weights: bool, alone: bool = False
    ) -> Network:
        """A network for these modalities and label spaces, drawn from the seed and the role.

        `weights`: with the encoders' own. `alone`: a single modality, joined by nothing, whatever fusion is chosen.
        """
        import torch
        from torch import nn

        seed = self.config["seed"]
        encoders = {}
        for name in sorted(specs):
            each = self.encoders[name]
            _need_spec(each, name, specs[name])
            # Anew for every encoder, so that one is the same whatever else the network has.
            torch.manual_seed(derive(seed, "network", role))
            encoders[name] = each(specs[name], **({"weights": None} if "weights" in each.keywords and not weights else {}))
        torch.manual_seed(derive(seed, "fusion", role))
        fusion = (Concat if alone else self.fusion)({name: each.width for name, each in encoders.items()})
        torch.manual_seed(derive(seed, "trunk", role))
        trunk = self.trunk(fusion.width)
        heads = {}
        for space in spaces:
            # By label space, so that the head of a task is the same whatever else the network has.
            torch.manual_seed(derive(seed, "head", role, space.key))
            heads[space.key] = nn.Linear(trunk.width, len(space.classes))
        network = Network(encoders, fusion, heads, trunk)
        network.document = self._document(specs, alone)
        return network

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        """Give every task of a network that learns them together what it does not share with the others."""
        import torch

        torch.manual_seed(derive(self.config["seed"], "sharing"))
        statistics = self.config["joint"]["statistics"]
        join(network, self.sharing, tasks, statistics)
        named = {role: [sorted(task.inputs), task.labels.key] for role, task in tasks.items()}
        shared = [self.config["sharing"], own_code(self.sharing), statistics, named]
        network.document = {**network.document, "sharing": shared}

    def _document(self, specs: Mapping[str, Spec], alone: bool) -> dict[str, Any]:
        """What a network is made of, without the weights it may bring: those are hashed as they are."""
        encoders = {}
        for name in specs:
            given = {key: value for key, value in self.config["encoder"][name].items() if key != "weights"}
            encoders[name] = {"config": given, "code": own_code(self.encoders[name])}
        return {
            "encoder": encoders,
            "fusion": "alone" if alone else self.config["fusion"],
            "trunk": self.config["trunk"],
            "specs": {name: asdict(spec) for name, spec in specs.items()},
            "code": [own_code(self.trunk), *([] if alone else [own_code(self.fusion)])],
        }


def build(config: dict[str, Any]) -> Plan:
    """Every component of a composed configuration. Raises `Problems` with all that is wrong with it."""
    found = Collector()
    known = [*(each.name for each in fields(TrainConfig)), "choices"]
    for name in config:
        found.need(name in known, f"{name}: there is no such key. {nearest(name, known)}")
    check_values(config, found)
    # By name: `source=[a,b]` and `source=[b,a]` are one run.
    sources = [_task(node, name, f"source.{name}", found) for name, node in sorted(config["source"].items())]
    if not config["target"]:
        raise Problem("There is no target. Choose one, e.g. target=optdigits (`xlearn show target` lists them).")
    target = _task(config["target"], config["choices"].get("target", "target"), "target", found)
    made = {name: found.component(node, f"encoder.{name}") for name, node in config["encoder"].items()}
    plan = Plan(
        config=config,
        sources=tuple(sources),
        target=target,
        encoders=made,
        fusion=found.component(config["fusion"], "fusion"),
        trunk=found.component(config["trunk"], "trunk"),
        sharing=found.component(config["sharing"], "sharing"),
        start=found.optional(config["pretrain"]["start"], "pretrain.start"),
        pretrain=chain(config, "pretrain", found),
        transfer=chain(config, "transfer", found),
        baseline=chain(config, "baseline", found),
        robustness={name: found.component(node, f"robustness.{name}") for name, node in config["robustness"].items()},
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
        found = Collector()
        made = _task(node, name, where, found)
        right += [] if found.problems else [made]
    return right


def encoders(config: dict[str, Any]) -> dict[str, partial[Any]]:
    """The encoders of a configuration that can be built, whatever else is wrong with it."""
    made = {name: Collector().component(node, f"encoder.{name}") for name, node in config["encoder"].items()}
    return {name: each for name, each in made.items() if each is not None}


def _task(node: dict[str, Any], name: str, where: str, found: Collector) -> TaskSource:
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


def _need_spec(encoder: partial[Any], modality: str, spec: Spec) -> None:
    """Raise where an encoder says by its annotation that it reads another modality."""
    function = encoder.func.__init__ if inspect.isclass(encoder.func) else encoder.func
    wanted = typing.get_type_hints(function).get("spec")
    if isinstance(wanted, type) and not isinstance(spec, wanted):
        name, reads, given = (getattr(each, "__name__", "") for each in (encoder.func, wanted, type(spec)))
        raise Problem(f"encoder.{modality}: {name} reads {reads}, and {modality} is {given} here. Choose another encoder.")


def _check_chain(plan: Plan, found: Collector) -> None:
    choices = plan.config["choices"]
    # Without anything to carry over nothing is learned from the source, unless a phase of the transfer reads it.
    if any(phase.reads != "target" for phase in (*(plan.pretrain if plan.carries else ()), *plan.transfer)):
        pretrains = plan.pretrain and plan.carries
        reader = f"pretrain={choices.get('pretrain')}" if pretrains else f"transfer={choices.get('transfer')}"
        found.need(
            bool(plan.sources),
            f"{reader} trains on a source, but there is none. Choose one (source=mnist5k), or "
            "pretrain=none with an encoder that has weights.",
        )
    if plan.carries and not plan.pretrain and plan.start is None:
        found.need(
            bool(plan.pretrained),
            f"transfer={choices.get('transfer')} carries weights over, but nothing was learned before: pretrain=none and "
            "an encoder without weights. Use pretrain=supervised, encoder.image.weights, or transfer=scratch.",
        )
    joint = plan.config["joint"]
    found.need(
        (plan.joins and not plan.carries) or not inspect.isclass(plan.sharing.func),
        f"sharing={choices.get('sharing')} is for tasks that are learned together, and transfer={choices.get('transfer')} "
        "carries weights over. Use transfer=joint, or a sharing that says what travels (sharing=all).",
    )
    found.need(
        not (plan.joins and not plan.carries and plan.start is not None),
        f"pretrain={choices.get('pretrain')} brings weights, and transfer={choices.get('transfer')} carries nothing over. Use "
        "pretrain=none, or a transfer that carries, e.g. finetune.",
    )
    found.need(
        plan.joins or joint["statistics"] == "shared",
        "joint.statistics=task is for tasks that are learned together. Use transfer=joint, or joint.statistics=shared.",
    )
    balanced = plan.config["balance"].get("_target_") != "xlearn.balance.equal.equal"
    several = len(plan.sources) > 1 or any(phase.reads == "both" for phase in plan.transfer)
    found.need(
        several or not balanced,
        f"balance={choices.get('balance')} weighs the losses of several tasks, and no phase reads more than one. Use "
        "transfer=joint, several sources (source=[a,b]), or balance=equal.",
    )
    found.need(
        joint["tasks"] == "all" or not balanced,
        f"balance={choices.get('balance')} needs every task in every step, and joint.tasks={joint['tasks']} draws one. Use "
        "joint.tasks=all, or balance=equal.",
    )
    found.need(not plan.config["baseline"]["carry"], "baseline: the baseline must not copy anything (carry: false).")
    found.need(
        plan.carries or not plan.teaches,
        f"transfer={choices.get('transfer')}: teaches: true without carry: true leaves no teacher. Set both to true.",
    )
