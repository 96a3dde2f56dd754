"""Configurations of results of earlier versions, as they are composed now (see `xlearn.config.renamed`)."""

from collections.abc import Mapping
from typing import Any

from xlearn.config.renamed import KEYS, READS, renamed

# A run reads no configuration of an earlier version.
DETERMINES_NUMBERS = False

# Arguments that earlier configurations omitted (Python's default), and that configurations state now.
WRITTEN_OUT: dict[str, dict[str, Any]] = {
    "xlearn.objectives.CrossEntropy": {"roles": None},
    "xlearn.objectives.Clip": {"highest": 100.0, "rate": 1.0},
    "xlearn.objectives.SigLip": {"highest": 100.0, "rate": 1.0},
    "xlearn.sharing.Lora": {"largest": 1.0},
}

# Objectives that train no head. Earlier versions left its parameters out by themselves, now the phase excludes them.
WITHOUT_HEADS = ("xlearn.objectives.Clip", "xlearn.objectives.SigLip")

# Options that earlier versions did not have, and that their runs would choose now.
CHOSEN = {"batches": "examples"}

# Tasks of numbers, whose default objective was that of classes. Only episodes read them, which have their own.
FUNCTIONS = ("sinusoid",)

# Options of tasks that earlier versions did not have, with their defaults: data without copies are split as before.
NEW_OF_TASKS = {"duplicates": "together"}

CHAINS = ("pretrain", "transfer", "baseline")
JOINT = ("tasks", "temperature", "common")
EPISODES = ("ways", "shots", "queries", "tasks", "val", "held_out")


def upgraded_choices(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of an earlier version, with those of groups that are new."""
    found = {**CHOSEN, **choices}
    return {**found, "objective": "supervised"} if found.get("target") in FUNCTIONS else found


def upgraded(config: Any) -> Any:
    """A configuration of an earlier version as it is composed now. One of the present version stays as it is."""
    found = _named(config)
    if not isinstance(found, dict):
        return found
    if {"batch_size", "sampling", "joint"} <= found.keys() and "batches" not in found:
        joint = {key: found["joint"][key] for key in JOINT}
        batches = {"_target_": "xlearn.batches.Batches", "batch_size": found["batch_size"], "sampling": found["sampling"]}
        found["batches"] = {**batches, **joint}
    if isinstance(target := found.get("target"), dict) and str(target.get("_target_")).rpartition(".")[2] in FUNCTIONS:
        found["objective"] = {"_target_": "xlearn.objectives.Supervised"}
    for name in CHAINS:
        if isinstance(found.get(name), dict):
            found[name] = _chain(found[name], found)
    if "evaluations" in found:  # a whole configuration
        # Their phases ended with running statistics: `result.json` has no other ones under `phases`.
        found.setdefault("normalization_statistics", "exact")
        for task in (found.get("target"), *(found.get("source") or {}).values()):
            if isinstance(task, dict):
                task |= {name: value for name, value in NEW_OF_TASKS.items() if name not in task}
    return found


def _named(node: Any) -> Any:
    """A node with the present addresses of its components, and the arguments that configurations state now."""
    if isinstance(node, list):
        return [_named(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _named(value) for key, value in node.items()}
    if isinstance(target := found.get("_target_"), str):
        found["_target_"] = renamed(target) or target
    return {**WRITTEN_OUT.get(str(found.get("_target_")), {}), **found}


def _chain(chain: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """`pretrain`, `transfer` or `baseline`: its phases, and how it measures."""
    found = {key: value for key, value in chain.items() if key != "episodes"}
    if "episodes" in chain:
        options = {**_episodes(config), "test": config["episodes"]["test"]} if chain["episodes"] else None
        found["measuring"] = {"_target_": "xlearn.measuring.Episodes", **options} if options else None
    if isinstance(found.get("phases"), dict):
        found["phases"] = {name: _phase(phase, config) for name, phase in found["phases"].items()}
    return found


def _phase(phase: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    within = ("batch_size", "episodes")
    found = {KEYS.get(key, key): value for key, value in phase.items() if key not in within}
    if isinstance(found.get("reads"), str):
        found["reads"] = [*READS[found["reads"]]]
    if "taught_by" in phase:
        found["teachers"] = [phase["taught_by"]] if phase["taught_by"] else []
    if "begins" in phase:
        found["start_from"] = phase["begins"] or "previous"
        found["trainable"] = _trainable(phase)
    if any(key in phase for key in within):
        found["batches"] = _batches(phase, config)
    return found


def _trainable(phase: Mapping[str, Any]) -> Any:
    """What the phase trains, without heads where its objective trains none."""
    node, objective = phase.get("trainable"), phase.get("objective") or {}
    if objective.get("_target_") not in WITHOUT_HEADS or not node or node["_target_"] != "xlearn.trainable.frozen":
        return node
    return {**node, "patterns": [*node["patterns"], "head.*"]}


def _batches(phase: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The batches of a phase: episodes where a base learner learns them, else the batch size if the phase sets one."""
    if phase.get("base_learner"):
        own = {key: value for key, value in (phase.get("episodes") or {}).items() if value is not None}
        return {"_target_": "xlearn.batches.Episodes", **_episodes(config), **own}
    size = phase.get("batch_size")
    return None if size is None else {"batch_size": size}


def _episodes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of episodes, from the options at the top."""
    options = {key: config["episodes"][key] for key in EPISODES}
    return {**options, "shots": config["target"].get("shots") if options["shots"] is None else options["shots"]}
