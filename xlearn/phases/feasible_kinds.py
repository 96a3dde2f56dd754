"""The same for phases that learn without labels, from pairs of modalities, and from few-shot tasks."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from xlearn.base_learners import NUMBERS
from xlearn.data.augment import holds
from xlearn.data.episodes import Kind, need_enough, predicts_numbers
from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.objectives.parts.weak_strong import need_change
from xlearn.phases.few_shot import Validation
from xlearn.phases.phase import Phase, learns_from_labels, rates, trains_heads
from xlearn.runtime.errors import Problem


def check_labels(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Refuse learning from labels that are not read, judging without any, and views that change nothing."""
    if phase.reads == "inputs" and learns_from_labels(phase):
        raise Problem(
            f"phase {phase.name}: reads=inputs leaves no labels, and its objective learns from them. Use one that does not, as "
            "pretrain=simclr does, or reads=source."
        )
    if any(getattr(each.func, "views", False) for each in phase.objectives):
        for task in read.values():
            need_change(task, phase.views, phase.name)
    if trains_heads(phase) or phase.kind is not None:
        return
    if phase.keep != "last" or phase.patience is not None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} judge by a head, and the phase trains none. "
            "Set keep: last there and the budget's patience=null; a later phase may have its own."
        )
    if any(name.startswith("head.") for name in rates(phase, network)):
        raise Problem(
            f"phase {phase.name} trains no head by labels, so that heads would stay random: let it train all else "
            '(trainable: xlearn.trainable.frozen.frozen with patterns: ["head.*"]).'
        )


def need_ways(kind: Kind, task: Task) -> None:
    """Refuse tasks of a single class, which say nothing, and tasks of several functions, which no network could be."""
    numbers = predicts_numbers(task)
    if numbers != (kind.ways == 1):
        how = "functions are learned one by one. Set episodes.ways=1" if numbers else "classes are told apart. Give 2 or more"
        raise Problem(f"episodes.ways={kind.ways}: of {task.name} {how}.")


def need_learner(learner: partial[Any] | None, numbers: bool) -> None:
    """Refuse a base learner of classes for tasks that predict numbers."""
    if learner is not None and numbers and not getattr(learner.func, "reads_head", True):
        raise Problem(f"base_learner={learner.func.__name__}: {NUMBERS}")


def check_episodes(phase: Phase, read: Mapping[str, Task]) -> None:
    """Refuse episodes that cannot be drawn or judged, and numbers that no episode is made of."""
    if phase.kind is None:
        if learns_from_labels(phase) and (numbers := [task.name for task in read.values() if predicts_numbers(task)]):
            raise Problem(
                f"phase {phase.name}: {numbers[0]} predicts numbers, of many functions, which only tasks of few "
                "examples are made of. Use pretrain=maml (or fomaml, reptile, meta_sgd, anil) with transfer=episodes."
            )
        return
    if phase.reads not in ("source", "target"):
        raise Problem(
            f"phase {phase.name}: reads={phase.reads}, and tasks of few examples are drawn from labels: reads=source."
        )
    if len({predicts_numbers(task) for task in read.values()}) > 1:
        raise Problem(f"phase {phase.name}: some sources predict numbers, and others classes. Choose sources of one sort.")
    need_learner(phase.base_learner, any(predicts_numbers(task) for task in read.values()))
    if any(holds("mixes_labels", each) for each in phase.augment):
        raise Problem(f"phase {phase.name}: augment=mixup mixes labels, and episodes number their classes anew. Leave it out.")
    for task in read.values():  # whichever classes the seed will hold out
        need_ways(phase.kind, task)
        need_enough(task.name, task.train, phase.kind)
    if phase.keep not in ("last", "best_source"):
        raise Problem(f"phase {phase.name}: keep={phase.keep}: of episodes keep=last or best_source is kept.")
    if (phase.keep == "best_source" or phase.patience is not None) and Validation(phase, read, 0).judged_by is None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} judge by episodes of "
            f"{phase.kind.ways} classes that are held out, and there are too few. Raise "
            "episodes.held_out or the source's val, or use keep=last."
        )


def check_pairs(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Refuse an alignment without pairs, one judged by a head that it does not train, and one that could not happen."""
    if phase.keep != "last" or phase.patience is not None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} judge by a head, and the phase trains none. "
            f"Set keep: last there and the budget's patience=null; a later phase may have its own."
        )
    for task in read.values():
        names = sorted(task.inputs.keys() & network.encoder.keys())
        if len(names) < 2:
            raise Problem(
                f"phase {phase.name}: {task.name} has the modality {' '.join(names)} only; alignment needs pairs. Choose "
                "another source."
            )
        there = [task.train.present[name] for name in names if name in task.train.present]
        rows = (
            torch.arange(len(task.train)) if not there else (torch.stack(there).sum(0) + len(names) - len(there) >= 2).nonzero()
        )
        if len(rows) < 2 or phase.batch_size < 2:
            raise Problem(
                f"phase {phase.name}: {len(rows)} pairs in {task.name}, batch_size={phase.batch_size}; alignment needs two "
                "pairs or more in a batch. Choose another source, or raise shots or batch_size."
            )
        batch = task.train.take(rows.flatten()[:2])
        network.eval()
        with torch.no_grad():
            parts = [network.features(batch.only(name).to(next(network.parameters()).device)) for name in names]
        if not bool((torch.stack(parts) != 0).any(1).sum(0).ge(2).any()):
            raise Problem(
                f"phase {phase.name}: this fusion keeps the modalities of {task.name} apart, so that they cannot be aligned. "
                "Use fusion=mean with fusion.width=64, or a trunk (trunk=mlp)."
            )
