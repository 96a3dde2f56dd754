"""The evaluation of a target of few-shot episodes: the metrics of a run and its baseline."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from xlearn.base_learners.statistics import norms
from xlearn.data.episodes import Episodes, need_enough
from xlearn.data.task import Task
from xlearn.label_spaces import LabelSpace
from xlearn.learners.learner import Learner
from xlearn.phases.encoder_cache import encode
from xlearn.phases.feasible_kinds import need_learner, need_ways
from xlearn.phases.few_shot import Predicted, metrics, once, predicted, summary
from xlearn.phases.phase import Roles
from xlearn.plan.components import Components
from xlearn.results.gains import gain
from xlearn.results.target import Learned, described
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine, place
from xlearn.runtime.storage import write_tensors


def episodic_outcome(
    learned: Learned, phases: dict[str, list[dict[str, Any]]], roles: Roles, machine: Machine, folder: Path
) -> dict[str, Any]:
    """The measured content of `result.json`. Opens the target's examples, draws the episodes from the seed (the same for every
    method), and writes the predictions of all queries after the last inner step.
    """
    components, target = learned.components, roles["target"]["target"]
    config, kind = components.config, components.kind
    assert kind is not None and components.base_learner is not None and components.baseline_learner is not None
    test, count = target.test.open(), config["episodes"]["test"]
    seed = derive(config["seed"], "episodes")

    def episodes(learner: Learner, base: Any) -> Episodes:
        # Frozen pretrained encoders encode a data set once.
        moved = learner.moved() | learner.network.moving(
            name for name, _ in learner.network.named_parameters() if getattr(base, "trains", lambda _: False)(name)
        )
        still = sorted((components.pretrained_of("target") & learner.network.encoder.keys()) - moved)
        given = encode(learner.network, test, still, machine)
        return Episodes({target.name: given}, kind, seed=seed, device=machine.device)

    base, scratch = components.base_learner(), components.baseline_learner()
    drawn = episodes(learned.own, base)
    found = predicted(learned.own.network, base, drawn, count, machine)
    if not bool(found.logits[-1].isfinite().all()):
        raise Problem(
            f"transfer={config['choices'].get('transfer')}: the inner loop of an episode of {target.name} diverges to values "
            "that are not finite. Lower base_learner.test_steps (to the training steps) or base_learner.rate."
        )
    made = [
        components.baseline_learner.func.__qualname__,
        components.baseline_learner.keywords,
        asdict(kind),
        target.fingerprint,
        seed,
    ]
    before = once(learned.baseline.network, scratch, episodes(learned.baseline, scratch), count, machine, made)
    space, metric = drawn.space, config["metric"]
    rows = torch.stack([drawn.rows(number) for number in range(count)])
    given = {"logits": found.logits[-1], "labels": found.labels, "rows": rows}
    right = {name: space.correct(each.logits[-1], each.labels) for name, each in (("run", found), ("baseline", before))}
    given |= {f"correct.{name}": each for name, each in right.items() if each is not None}
    write_tensors(folder / "predictions.safetensors", given)
    measured, compared = metrics(found, space), metrics(before, space)
    return {
        **described(learned, roles, machine),
        "metrics": measured,
        "episodes": {
            **asdict(kind), **summary(found, space, metric), **getattr(base, "log", dict)(),
            "statistics": getattr(base, "statistics", None) if norms(learned.own.network) else None,
        },
        "baseline": {
            "name": config["choices"].get("transfer@baseline", "scratch"), "metrics": compared, "phases": phases["baseline"],
            "cost": cost(learned.baseline, scratch, drawn, machine), "episodes": summary(before, space, metric),
        },
        "gain": gain(measured, compared, space.metrics),
        "cost": {**cost(learned.own, base, drawn, machine), "trained": learned.own.count()},
        "majority": chance(found, space),
        "alone": {},
        "selection": sorted({phase.keep for phase in components.pretrain}),
        "phases": phases["own"],
    }  # fmt: skip


def chance(found: Predicted, space: LabelSpace) -> dict[str, Any] | None:
    """The floor of episodes: the metrics of a prediction that knows no labels (of classes a uniform one, as all classes are
    equally frequent); None where there is none.
    """
    episodes, queries = found.labels.shape[:2]
    outputs = space.floor(None, episodes * queries)
    if outputs is None:
        return None
    return metrics(Predicted(outputs.unflatten(0, (1, episodes, queries)), found.labels), space)


def cost(learner: Learner, base: Any, episodes: Episodes, machine: Machine) -> dict[str, Any]:
    """The inference cost: `parameters` of the network, and `flops` per query, without learning the episode."""
    network = learner.network
    place(network, machine)
    network.eval()
    batch = episodes.some(range(1))["query"]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        (network if base.reads_head else network.features)(batch)
    numbers = sum(each.numel() for name, each in network.named_parameters() if not name.startswith("rates."))
    return {"parameters": numbers, "flops": counter.get_total_flops() / len(batch)}


def check_target(components: Components, target: Task) -> None:
    """Raise `Problem`, before any training, if the target's episodes cannot be drawn."""
    assert components.kind is not None
    need_ways(components.kind, target)
    need_enough(target.name, target.test.examples, components.kind)
    for each in (components.base_learner, components.baseline_learner):
        need_learner(each, target.labels)
    if components.base_learner is not None:
        components.base_learner()  # raises for arguments out of range


def fewest(components: Components) -> int:
    """The number of examples per class that a smoke test (`Run.small`) needs in every split."""
    kinds = [phase.kind for phase in (*components.pretrain, *components.transfer)] + [components.kind]
    return max(2, *(kind.shots + max(kind.queries, 1) for kind in kinds if kind is not None), 2)
