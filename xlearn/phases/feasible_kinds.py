"""Checks of phases without labels, with pairs of modalities, and with few-shot episodes, before any training."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from xlearn.data.augment import holds
from xlearn.data.episodes import Kind, need_enough
from xlearn.data.task import Task
from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives.parts.weak_strong import need_change
from xlearn.phases.few_shot import Validation
from xlearn.phases.phase import Phase, learns_from_labels, lessons, rates, trains_heads
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
    """Raise for a number of classes of which no episode can be made."""
    if how := task.labels.no_episodes(kind.ways):
        raise Problem(f"episodes.ways={kind.ways}: {task.name} {how}.")


def need_learner(learner: partial[Any] | None, space: LabelSpace) -> None:
    """Raise for a base learner that only classifies, if episodes of this label space predict something else."""
    if learner is not None and not getattr(learner.func, "reads_head", True):
        need_classes(space, f"base_learner={learner.func.__name__}", "Use base_learner=gradient_descent.")


def check_spaces(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for a component that is defined by the classes of its tasks, where a task predicts something else.

    Such a component says `spaces = (Classes,)`. Adaptation, distillation of logits and mixed labels need classes too.
    """
    fix = "Choose another one, or a task of classes."
    for task in read.values() if learns_from_labels(phase) else ():
        for each in phase.objectives:
            if any(not isinstance(task.labels, wanted) for wanted in getattr(each.func, "spaces", ())):
                need_classes(task.labels, f"phase {phase.name}: {each.func.__name__}", fix)
        if phase.adapts or "logits" in lessons(phase):
            what = "adaptation without labels" if phase.adapts else "distillation of logits"
            need_classes(task.labels, f"phase {phase.name}: {what}", fix)
        if any(holds("mixes_labels", each) for each in phase.augment):
            need_classes(task.labels, f"phase {phase.name}: augment=mixup", fix)


def check_episodes(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for episodes that cannot be drawn or validated, and for regression tasks outside of episodes."""
    if phase.kind is None:
        for task in read.values() if learns_from_labels(phase) else ():
            if why := task.labels.only_in_episodes:
                raise Problem(
                    f"phase {phase.name}: {task.name} {why}. Use pretrain=maml (or fomaml, reptile, meta_sgd, anil) with "
                    "transfer=episodes."
                )
        return
    if phase.reads not in ("source", "target"):
        raise Problem(f"phase {phase.name}: reads={phase.reads}, but episodes are drawn by label. Set reads=source.")
    if len(kinds := sorted({task.labels.kind for task in read.values()})) > 1:
        raise Problem(f"phase {phase.name}: some sources predict {', others '.join(kinds)}. Choose sources of one kind.")
    for task in read.values():
        need_learner(phase.base_learner, task.labels)
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
