"""Checks of the needs of a phase: labels, unlabelled examples, views, heads, and pairs of modalities."""

from collections.abc import Mapping

import torch

from xlearn.data.reads import VIEWS
from xlearn.data.task import Task
from xlearn.label_spaces.checks import need_space
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives.parts.weak_strong import need_change
from xlearn.phases.phase import Phase, rates
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, declared
from xlearn.sharing.together import below_heads, few


def check_needs(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Raise `Problem`, before any training, for a need that the phase does not meet."""
    needs, reads = phase.needs, f"reads=[{','.join(phase.reads)}]"
    shown = [name for name in phase.reads if VIEWS[name].labelled]
    if needs.labels and not shown:
        raise Problem(
            f"phase {phase.name}: {reads} hides the labels, but its objective needs them. Use a self-supervised objective, as "
            "in pretrain=simclr, or reads=[source]."
        )
    if len(shown) < len(phase.reads) and not needs.unlabeled:
        raise Problem(
            f"phase {phase.name}: {reads}, but none of its objectives and penalties uses unlabelled examples. Add one that "
            "does, as in transfer=coral, or set reads=[source,target], [target] or [source]."
        )
    if needs.episodes and phase.batches.by_role:
        raise Problem(f"phase {phase.name}: its objective needs episodes. Set its batches to episodes, as in pretrain=maml.")
    if phase.augments.one_task and len(shown) < len(phase.reads):
        raise Problem(f"phase {phase.name}: augment=mixup mixes labels, but some examples are unlabelled. Leave it out.")
    if needs.views:
        for task in read.values():
            need_change(task, phase.views, phase.name)
    _check_spaces(phase, read)
    if phase.batches.by_role:
        _check_heads(phase, network)
    if needs.pairs:
        _check_pairs(phase, network, read)


def check_effect(phase: Phase, network: Network, read: Mapping[str, Task], copied: frozenset[str]) -> None:
    """Raise `Problem` for an objective or a penalty that no trained parameter can follow: the run would be that without it.

    It may act on layers below the heads, of which the phase trains none that its tasks use, or compare weights with those
    copied from the source, of which it trains none.
    """
    acting = [each for each in phase.objectives if declared(each).below_heads or declared(each).copied]
    if not acting:
        return
    trained = {*rates(phase, network, read)}
    used = trained & {name for task in read.values() for name in below_heads(network, few(task))}
    for each in acting:
        name, needs = each.func.__name__, declared(each)
        if needs.below_heads and not used:
            raise Problem(
                f"phase {phase.name}: {name} acts on layers below the heads, but the phase trains none there, so it would "
                "change nothing. Use a trunk (trunk=mlp) or an encoder with parameters, train it (trainable), or use a method "
                "that adapts the head, e.g. transfer=mcc."
            )
        if needs.copied and not trained & copied:
            raise Problem(
                f"phase {phase.name}: {name} keeps weights near those copied from the source, but the phase trains none of "
                "these, so it would not. Train them (trainable), copy more (sharing=all), or use transfer=finetune."
            )


def _check_spaces(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for a component that is not defined for the label space of a task, and for tasks that only episodes can read."""
    where, fix = f"phase {phase.name}", "Choose another one, or a task of classes."
    for task in read.values() if phase.needs.labels else ():
        if phase.batches.by_role and (why := task.labels.only_in_episodes):
            raise Problem(
                f"{where}: {task.name} {why}. Use pretrain=maml (or fomaml, reptile, meta_sgd, anil) with transfer=episodes."
            )
        for each in phase.objectives:
            need_space(declared(each), task.labels, f"{where}: {each.func.__name__}", fix)
        for each in phase.augment:
            need_space(declared(each, NO_LABELS), task.labels, f"{where}: augment={each.func.__name__}", fix)
        need_space(phase.solver.needs, task.labels, f"{where}: its solver", fix)
        if phase.adapts:
            need_classes(task.labels, f"{where}: adaptation without labels", fix)


def _check_heads(phase: Phase, network: Network) -> None:
    """Raise for a phase that trains no head from labels, but selects by one, or trains one."""
    if phase.trains_heads:
        return
    if phase.keeping.selects or phase.patience is not None:
        raise Problem(
            f"phase {phase.name}: keep={phase.keeping.rule} and patience={phase.patience} need a validation score of a head, "
            "but the phase trains no head. Set keep: last in the phase and the budget's patience=null; a later phase may set "
            "its own."
        )
    if any(name.startswith("head.") for name in rates(phase, network)):
        raise Problem(
            f"phase {phase.name} learns no head from labels, so its heads would stay random. Exclude them from training "
            '(trainable: xlearn.trainable.frozen with patterns: ["head.*"]).'
        )


def _check_pairs(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Raise for an alignment without pairs, or with features that cannot be aligned."""
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
        if len(rows) < 2 or phase.batches.size(len(task.train)) < 2:
            raise Problem(
                f"phase {phase.name}: {task.name} has {len(rows)} pairs. Alignment needs at least 2 pairs in a batch. Choose "
                "another source, or raise shots or batch_size."
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
