"""Build the phases of a chain (`pretrain`, `transfer`, `baseline`) from its configuration."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from xlearn.config.collector import Collector
from xlearn.config.renamed import old_methods, renamed_key
from xlearn.config.schema import PhaseConfig
from xlearn.data.episodes import Kind
from xlearn.data.options import PhaseEpisodes
from xlearn.phases.phase import ADAPTING, READS, Phase
from xlearn.runtime.errors import Problem, nearest
from xlearn.selection import RULES


def chain(config: Mapping[str, Any], name: str, found: Collector) -> tuple[Phase, ...]:
    """The phases of `pretrain`, `transfer` or `baseline`, in order. Errors are added to `found`."""
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
    for key in node:  # `+transfer.phases.x.key=...` can add keys outside the schema
        found.need(key in known, f"{where}.{key}: {renamed_key(key) or f'a phase has no such key. {nearest(key, known)}'}")
    own = node["epochs"] is not None or node["steps"] is not None
    lasts, lasting = (node, where) if own else (budget, f"budget.{'pretrain' if within == 'pretrain' else 'transfer'}")
    values = {key: node[key] if node[key] is not None else budget[key] for key in ("patience", "stop_below", "keep")}
    values |= {"epochs": lasts["epochs"], "steps": lasts["steps"]}
    given = {key: values[key] for key in ("epochs", "steps") if values[key] is not None}
    told = " and ".join(f"{key}={value}" for key, value in given.items()) or "neither epochs nor steps"
    found.need(len(given) == 1, f"{lasting}: {told} set. Set exactly one of epochs and steps, the other to null.")
    for key in ("epochs", "steps", "patience"):
        found.need(values[key] is None or values[key] > 0, f"{where}.{key}={values[key]}: give more than 0, or null.")
    reads = node["reads"] or ("source" if within == "pretrain" else "target")
    found.need(reads in READS, f"{where}.reads={reads}: {nearest(reads, READS)}")
    adapts = reads in ADAPTING
    keeps = [*RULES] if adapts else ["last", "best_source", "best_target", "best_mean", "best_each"]
    instead = ""
    if not adapts and values["keep"] in RULES:
        instead = " It is for phases that read unlabelled examples: set it in them (transfer.phases.adapt.keep)."
    found.need(values["keep"] in keeps, f"{where}.keep={values['keep']}: {nearest(str(values['keep']), keeps)}{instead}")
    teachers = ["source", "sources", *[*config[within]["phases"]][:position]]
    taught_by = node["taught_by"]
    found.need(taught_by in (None, *teachers), f"{where}.taught_by={taught_by}: {nearest(str(taught_by), teachers)}")
    found.need(node["begins"] in (None, "start"), f"{where}.begins={node['begins']}: give start, or null.")
    modalities = None if node["modalities"] is None else tuple(sorted(node["modalities"]))
    found.need(modalities != (), f"{where}.modalities=[]: name at least one, or null for all.")
    batch_size = config["batch_size"] if node["batch_size"] is None else node["batch_size"]
    found.need(batch_size >= 1, f"{where + '.' if node['batch_size'] else ''}batch_size={batch_size}: give 1 or more.")
    nodes = {key: node[key] or config[key] for key in ("objective", "optimizer", "schedule")}
    penalties = {**node["penalties"], **({"regularizer": config["regularizer"]} if config["regularizer"] else {})}
    # Sorted by name: `augment=[a,b]` and `augment=[b,a]` have one digest, so they are one run.
    augment = dict(sorted(config["augment"].items())) if node["augment"] else {}
    made = {key: found.component(each, key if not node[key] else f"{where}.{key}") for key, each in nodes.items()}
    _try_optimizer(made["optimizer"], where if node["optimizer"] else "optimizer", found)
    extra = [
        found.component(each, key if key == "regularizer" else f"{where}.penalties.{key}") for key, each in penalties.items()
    ]
    trainable = found.optional(node["trainable"], f"{where}.trainable")
    merge = found.optional(node["merge"], f"{where}.merge")
    solver = found.optional(node["solver"], f"{where}.solver")
    base_learner = found.optional(node["base_learner"], f"{where}.base_learner")
    for each in (made["objective"], *extra, base_learner):
        for told in old_methods(each.func) if each else ():
            found.add(Problem(f"{where}: {each.func.__qualname__}: {told}"))
    kind = kind_of(config, found, node["episodes"], where) if node["base_learner"] else None
    others = [key for key, value in (node["episodes"] or {}).items() if value is not None]
    found.need(not others or kind is not None, f"{where}.episodes: the phase has no base_learner, so it reads no episodes.")
    found.need(solver is None or reads in ADAPTING, f"{where}.solver: only phases that read unlabelled examples have a solver.")
    balance = found.component(config["balance"], "balance")
    augments = [found.component(each, f"augment.{key}") for key, each in augment.items()]
    views = config["views"] if any(getattr(each.func, "views", False) for each in (made["objective"], *extra) if each) else {}
    changes = [found.component(each, f"views.{key}") for key, each in views.items()]
    joint = {key: config["joint"][key] for key in ("tasks", "temperature", "common")}
    return Phase(
        name=name, position=position, reads=reads, modalities=modalities, trainable=trainable,
        taught_by=taught_by, begins=node["begins"], merge=merge, solver=solver,
        base_learner=base_learner, kind=kind,
        objectives=(made["objective"], *extra),
        balance=balance, optimizer=made["optimizer"], schedule=made["schedule"], augment=tuple(augments), views=tuple(changes),
        batch_size=batch_size, balanced=config["sampling"] == "balanced", **joint, **values,
    )  # fmt: skip


def kind_of(config: Mapping[str, Any], found: Collector, own: Mapping[str, Any] | None = None, where: str = "") -> Kind:
    """The episode spec (ways, shots, queries), with the overrides of the phase at `where`."""
    given = {each.name: config["episodes"][each.name] for each in fields(PhaseEpisodes)}
    named = {key: value for key, value in (own or {}).items() if value is not None}
    shots = config["target"].get("shots") if given["shots"] is None else given["shots"]
    if not (shots := named.get("shots", shots)):
        found.add(
            Problem(f"episodes.shots=null and target.shots={shots}: set episodes.shots to labelled examples per class, e.g. 1.")
        )
    for key, value in {**given, **named}.items():
        place = f"{where}.episodes.{key}" if key in named else f"episodes.{key}"
        least = 0 if key == "queries" and key in named else 1  # a phase may have no queries
        found.need(value is None or value >= least, f"{place}={value}: give {least} or more.")
    judged = {key: config["episodes"][key] for key in ("val", "held_out")}
    return Kind(**{**given, **named, "shots": shots or 1}, **judged)


def _try_optimizer(optimizer: partial[Any] | None, where: str, found: Collector) -> None:
    """Build the optimizer once: optimizers check the ranges of their arguments when they are built."""
    import torch

    try:
        if optimizer is not None:
            optimizer([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, RuntimeError, TypeError) as error:
        found.add(Problem(f"{where}: {error}. Change the argument it names."))
