"""Checks of phases without labels, with pairs of modalities, and with few-shot episodes, before any training."""

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
    """Raise for a phase without labels that learns from labels or selects by a head, and for views that change nothing."""
    if phase.reads == "inputs" and learns_from_labels(phase):
        raise Problem(
            f"phase {phase.name}: reads=inputs hides the labels, but its objective needs them. Use a self-supervised "
            "objective, as in pretrain=simclr, or reads=source."
        )
    if any(getattr(each.func, "views", False) for each in phase.objectives):
        for task in read.values():
            need_change(task, phase.views, phase.name)
    if trains_heads(phase) or phase.kind is not None:
        return
    if phase.keep != "last" or phase.patience is not None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need a validation score of a head, but the "
            "phase trains no head. Set keep: last in the phase and the budget's patience=null; a later phase may set its own."
        )
    if any(name.startswith("head.") for name in rates(phase, network)):
        raise Problem(
            f"phase {phase.name} learns no head from labels, so its heads would stay random. Exclude them from training "
            '(trainable: xlearn.trainable.frozen.frozen with patterns: ["head.*"]).'
        )


def need_ways(kind: Kind, task: Task) -> None:
    """Raise for classification episodes with one class, and for regression episodes with several functions."""
    numbers = predicts_numbers(task)
    if numbers != (kind.ways == 1):
        how = "needs one function per episode. Set episodes.ways=1" if numbers else "needs at least 2 classes per episode"
        raise Problem(f"episodes.ways={kind.ways}: {task.name} {how}.")


def need_learner(learner: partial[Any] | None, numbers: bool) -> None:
    """Raise for a base learner that only classifies, if the tasks are regression tasks."""
    if learner is not None and numbers and not getattr(learner.func, "reads_head", True):
        raise Problem(f"base_learner={learner.func.__name__}: {NUMBERS}")


def check_episodes(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for episodes that cannot be drawn or validated, and for regression tasks outside of episodes."""
    if phase.kind is None:
        if learns_from_labels(phase) and (numbers := [task.name for task in read.values() if predicts_numbers(task)]):
            raise Problem(
                f"phase {phase.name}: {numbers[0]} predicts the values of many functions, so it can only be read in episodes. "
                "Use pretrain=maml (or fomaml, reptile, meta_sgd, anil) with transfer=episodes."
            )
        return
    if phase.reads not in ("source", "target"):
        raise Problem(f"phase {phase.name}: reads={phase.reads}, but episodes are drawn by label. Set reads=source.")
    if len({predicts_numbers(task) for task in read.values()}) > 1:
        raise Problem(f"phase {phase.name}: some sources predict numbers, others classes. Choose sources of one kind.")
    need_learner(phase.base_learner, any(predicts_numbers(task) for task in read.values()))
    if any(holds("mixes_labels", each) for each in phase.augment):
        raise Problem(f"phase {phase.name}: augment=mixup mixes labels, but each episode renumbers its classes. Leave it out.")
    for task in read.values():  # for whichever classes the seed holds out
        need_ways(phase.kind, task)
        need_enough(task.name, task.train, phase.kind)
    if phase.keep not in ("last", "best_source"):
        raise Problem(f"phase {phase.name}: keep={phase.keep}: a phase of episodes needs keep=last or best_source.")
    if (phase.keep == "best_source" or phase.patience is not None) and Validation(phase, read, 0).judged_by is None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need validation episodes of "
            f"{phase.kind.ways} held-out classes, but there are too few classes or examples. Raise "
            "episodes.held_out or the source's val, or use keep=last."
        )


def check_pairs(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Raise for an alignment without pairs, with a selection that needs a head, or with features that cannot be aligned."""
    if phase.keep != "last" or phase.patience is not None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need a validation score of a head, but the "
            f"phase trains no head. Set keep: last in the phase and the budget's patience=null; a later phase may set its own."
        )
    for task in read.values():
        names = sorted(task.inputs.keys() & network.encoder.keys())
        if len(names) < 2:
            raise Problem(
                f"phase {phase.name}: {task.name} has only the modality {' '.join(names)}, but alignment needs pairs. Choose "
                "another source."
            )
        there = [task.train.present[name] for name in names if name in task.train.present]
        rows = (
            torch.arange(len(task.train)) if not there else (torch.stack(there).sum(0) + len(names) - len(there) >= 2).nonzero()
        )
        if len(rows) < 2 or phase.batch_size < 2:
            raise Problem(
                f"phase {phase.name}: {task.name} has {len(rows)} pairs, and batch_size={phase.batch_size}. Alignment needs at "
                "least 2 pairs in a batch. Choose another source, or raise shots or batch_size."
            )
        batch = task.train.take(rows.flatten()[:2])
        network.eval()
        with torch.no_grad():
            parts = [network.features(batch.only(name).to(next(network.parameters()).device)) for name in names]
        if not bool((torch.stack(parts) != 0).any(1).sum(0).ge(2).any()):
            raise Problem(
                f"phase {phase.name}: this fusion puts the modalities of {task.name} in separate features, so they cannot be "
                "aligned. Use fusion=mean with fusion.width=64, or a trunk (trunk=mlp)."
            )
