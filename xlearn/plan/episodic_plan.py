"""The plan of a target that is evaluated on few-shot episodes."""

from collections.abc import Mapping
from typing import Any

from xlearn.config.collector import Collector
from xlearn.data.options import TaskOptions
from xlearn.plan.phases_from_config import kind_of


def episodic(config: Mapping[str, Any], found: Collector) -> dict[str, Any]:
    """The episode spec and the base learners of the run and its baseline; empty for a target without episodes. Errors are
    added to `found`.
    """
    transfer, where = config["transfer"], f"transfer={config['choices'].get('transfer')}"
    if not transfer["episodes"]:
        return {}
    node, place, kind = transfer["base_learner"], "transfer.base_learner", kind_of(config, found)
    ways = kind.ways
    if node is None:
        named = [(name, phase) for name, phase in config["pretrain"]["phases"].items() if phase["base_learner"]]
        if named:
            name, phase = named[-1]
            node, place = phase["base_learner"], f"pretrain.phases.{name}.base_learner"
            ways = (phase["episodes"] or {}).get("ways") or kind.ways
    found.need(
        node is not None,
        f"{where} uses the base learner of pretraining, but pretrain={config['choices'].get('pretrain')} has none. Use "
        "pretrain=maml, or transfer=episodes_centroid, episodes_probe or episodes_finetune.",
    )
    found.need(
        not transfer["phases"] and transfer["carry"] and not transfer["joins"] and transfer["adds"] is None,
        f"{where}: only the base learner learns the target's episodes, from the copied weights. Set carry: true, and "
        "no phases, joins or adds.",
    )
    found.need(not config["robustness"], f"robustness is not measured on episodes ({where}). Leave it out.")
    learner = found.optional(node, place)
    found.need(
        ways == kind.ways or not getattr(getattr(learner, "func", None), "reads_head", False),
        f"{place.removesuffix('.base_learner')}.episodes.ways={ways} and episodes.ways={kind.ways}: a head for {ways} classes "
        f"cannot predict {kind.ways}. Set both to the same number, or use pretrain=protonet or matching, which have no head.",
    )
    _need_apart(config, where, found)
    own = config["baseline"]["base_learner"] or node
    return {"kind": kind, "base_learner": learner, "baseline_learner": found.optional(own, "baseline.base_learner")}


def _need_apart(config: Mapping[str, Any], where: str, found: Collector) -> None:
    """Refuse phases that learn or select on a target of episodes (all its examples are measured), and options of its split."""
    why = f"all examples of a target of episodes are measured ({where})"
    for name, phase in config["pretrain"]["phases"].items():
        for key, right in (("reads", ("source", "inputs")), ("keep", ("last", "best_source"))):
            found.need(
                phase[key] in (None, *right),
                f"pretrain.phases.{name}.{key}={phase[key]}: {why}, so no phase may learn or select on them. Use "
                f"{' or '.join(right)}.",
            )
        found.need(
            phase["reads"] != "inputs" or bool(config["source"]),
            f"pretrain.phases.{name}.reads=inputs: {why}. Choose a source, so that the phase reads the source's inputs.",
        )
    for key in ("fraction", "imbalance", "folds", "fold"):  # options that are swept; val and test may be set by the task
        value, usual = config["target"].get(key), getattr(TaskOptions, key)
        shown = "null" if usual is None else usual
        found.need(value == usual, f"target.{key}={value}: {why}, so the split has no effect. Leave it at {shown}.")
