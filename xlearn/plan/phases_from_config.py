"""Build the phases of a chain (`pretrain`, `transfer`, `baseline`) from its configuration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from xlearn.averaging._trained import trained
from xlearn.batches import Batching
from xlearn.config.collector import Collector
from xlearn.config.renamed import READS, old_methods, renamed_key
from xlearn.config.schema import ChainConfig, PhaseConfig
from xlearn.data.reads import ADAPTS, VIEWS, in_order
from xlearn.phases.checkpoints_by_rule import keeping_by
from xlearn.phases.keeping import BY_VALIDATION
from xlearn.phases.phase import Phase
from xlearn.phases.solving import ClosedForm, GradientDescent
from xlearn.runtime.errors import Problem, nearest, sentences_of
from xlearn.runtime.needs import Needs, declared, union
from xlearn.selection import RULES
from xlearn.trainable._frozen import frozen


def chain(config: Mapping[str, Any], name: str, found: Collector) -> tuple[Phase, ...]:
    """The phases of `pretrain`, `transfer` or `baseline`, in order. Errors are added to `found`."""
    known = [each.name for each in fields(ChainConfig)]
    for key in (each for each in config[name] if each not in known):  # `+transfer.key=...` can add keys outside the schema
        old = renamed_key(key, chain=True)
        found.need(False, f"{name}.{key}: {old or f'a chain of phases has no such key. {nearest(key, known)}'}")
    budget = config["budget"]["pretrain" if name == "pretrain" else "transfer"]
    return tuple(
        _phase(config, name, each, position, node, budget, found)
        for position, (each, node) in enumerate(config[name]["phases"].items())
    )


def _phase(
    config: Mapping[str, Any], within: str, name: str, position: int, node: dict[str, Any], budget: dict[str, Any],
    found: Collector,
) -> Phase:  # fmt: skip
    where = f"{within}.phases.{name}"
    known = [each.name for each in fields(PhaseConfig)]
    for key in (each for each in node if each not in known):  # `+transfer.phases.x.key=...` can add keys outside the schema
        found.need(False, f"{where}.{key}: {renamed_key(key) or f'a phase has no such key. {nearest(key, known)}'}")
    own = node["epochs"] is not None or node["steps"] is not None
    lasts, lasting = (node, where) if own else (budget, f"budget.{'pretrain' if within == 'pretrain' else 'transfer'}")
    values = {key: node[key] if node[key] is not None else budget[key] for key in ("patience", "stop_below", "keep")}
    values |= {"epochs": lasts["epochs"], "steps": lasts["steps"]}
    given = {key: values[key] for key in ("epochs", "steps") if values[key] is not None}
    told = " and ".join(f"{key}={value}" for key, value in given.items()) or "neither epochs nor steps"
    found.need(len(given) == 1, f"{lasting}: {told} set. Set exactly one of epochs and steps, the other to null.")
    for key in ("epochs", "steps", "patience"):
        found.need(values[key] is None or values[key] > 0, f"{where}.{key}={values[key]}: give more than 0, or null.")
    usual = ["source" if within == "pretrain" else "target"]
    reads = _reads(usual if node["reads"] is None else node["reads"], where, found)
    adapts = ADAPTS in reads
    keeps = [*RULES] if adapts else ["last", *BY_VALIDATION]
    instead = ""
    if not adapts and values["keep"] in RULES:
        instead = " It is for phases that read unlabelled examples: set it in them (transfer.phases.adapt.keep)."
    found.need(values["keep"] in keeps, f"{where}.keep={values['keep']}: {nearest(str(values['keep']), keeps)}{instead}")
    keeping = keeping_by(values.pop("keep"), adapts)
    known = ["source", "sources", *[*config[within]["phases"]][:position]]
    for teacher in node["teachers"]:
        found.need(teacher in known, f"{where}.teachers=[{teacher}]: {nearest(str(teacher), known)}")
    found.need(len(node["teachers"]) < 2, f"{where}.teachers={node['teachers']}: name one; `sources` are all the sources.")
    begins = ["previous", "start"]
    found.need(node["start_from"] in begins, f"{where}.start_from={node['start_from']}: {nearest(node['start_from'], begins)}")
    modalities = None if node["modalities"] is None else tuple(sorted(node["modalities"]))
    found.need(modalities != (), f"{where}.modalities=[]: name at least one, or null for all.")
    longest = node["clip"]
    found.need(longest is None or longest > 0, f"{where}.clip={longest}: give more than 0, or null.")
    nodes = {key: node[key] or config[key] for key in ("objective", "optimizer", "schedule")}
    penalties = {**node["penalties"], **({"regularizer": config["regularizer"]} if config["regularizer"] else {})}
    # Sorted by name: `augment=[a,b]` and `augment=[b,a]` have one digest, so they are one run.
    augment = dict(sorted(config["augment"].items())) if node["augment"] else {}
    made = {key: found.component(each, key if not node[key] else f"{where}.{key}") for key, each in nodes.items()}
    _try_optimizer(made["optimizer"], where if node["optimizer"] else "optimizer", found)
    extra = [
        found.component(each, key if key == "regularizer" else f"{where}.penalties.{key}") for key, each in penalties.items()
    ]
    trainable = found.optional(node["trainable"], f"{where}.trainable") or partial(frozen, patterns=[])
    merge = found.optional(node["merge"], f"{where}.merge") or partial(trained)
    solver = found.optional(node["solver"], f"{where}.solver")
    base_learner = found.optional(node["base_learner"], f"{where}.base_learner")
    for each in (made["objective"], *extra, base_learner):
        for told in old_methods(each.func) if each else ():
            found.add(Problem(f"{where}: {each.func.__qualname__}: {told}"))
    found.need(solver is None or adapts, f"{where}.solver: only phases that read unlabelled examples have a solver.")
    balance = found.component(config["balance"], "balance")
    augments = [found.component(each, f"augment.{key}") for key, each in augment.items()]
    batches = _batches(config["batches"], node["batches"] or {}, base_learner, where, found)
    components = [each for each in (made["objective"], *extra, base_learner, solver, balance) if each]
    needs = _declared(components, where, found)
    views = config["views"] if needs.views else {}
    changes = [found.component(each, f"views.{key}") for key, each in views.items()]
    return Phase(
        name=name, position=position, reads=reads, modalities=modalities, trainable=trainable,
        teachers=tuple(node["teachers"]), restarts=node["start_from"] == "start", merge=merge,
        solver=GradientDescent() if solver is None else ClosedForm(solver),
        objectives=(made["objective"], *extra),
        balance=balance, optimizer=made["optimizer"], schedule=made["schedule"],
        clip=math.inf if longest is None else longest,
        augment=tuple(augments), views=tuple(changes), batches=batches, keeping=keeping, sets_length=own, **values,
    )  # fmt: skip


def _reads(given: Any, where: str, found: Collector) -> tuple[str, ...]:
    """The views that a phase reads; the words of earlier versions are answered by the list that replaces them."""
    if isinstance(given, str):
        found.need(given not in READS, f"{where}.reads={given}: it is a list now: reads=[{','.join(READS.get(given, ()))}].")
        found.need(given in READS, f"{where}.reads={given}: give a list of {', '.join(VIEWS)}.")
        return ()
    for view in given:
        found.need(view in VIEWS, f"{where}.reads=[{','.join(map(str, given))}]: {nearest(str(view), VIEWS)}")
    found.need(bool(given), f"{where}.reads=[]: name at least one of {', '.join(VIEWS)}.")
    return in_order(given)


def _batches(node: dict[str, Any], own: dict[str, Any], base_learner: Any, where: str, found: Collector) -> Any:
    """The kind of batches of a phase: its own, or that at the top with the arguments that the phase sets."""
    whole = own if "_target_" in own else {**node, **own}
    made = found.component(whole, f"{where}.batches" if own else "batches", positional=1, kind=Batching)
    try:
        return made(base_learner) if made else None
    except Problem as problem:
        for told in sentences_of(problem):  # at the top the same for every phase: it is listed once
            found.add(Problem(f"{where}: {told}" if own else told))
    return None


def _declared(components: Sequence[Any], where: str, found: Collector) -> Needs:
    """What all components need together. A component that declares nothing is added to `found`."""
    needs = []
    for each in components:
        try:
            needs.append(declared(each))
        except Problem as problem:
            found.add(Problem(f"{where}: {problem}"))
    return union(needs)


def _try_optimizer(optimizer: partial[Any] | None, where: str, found: Collector) -> None:
    """Build the optimizer once: optimizers check the ranges of their arguments when they are built."""
    import torch

    try:
        if optimizer is not None:
            optimizer([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, RuntimeError, TypeError) as error:
        found.add(Problem(f"{where}: {error}. Change the argument it names."))
