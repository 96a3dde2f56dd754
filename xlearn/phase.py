"""What a phase is: the batches it reads, what it minimises, what it trains, how long, and which weights it keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isclass
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.balance import Backward
from xlearn.balance.equal import equal
from xlearn.cache import Cache
from xlearn.errors import Problem
from xlearn.joint import moves
from xlearn.machine import Machine
from xlearn.network import Network
from xlearn.objectives import Start
from xlearn.task import Task
from xlearn.trainable import Rate

# Tasks by what a phase may read: `{"source": {name: task}, "target": {"target": task}}`.
Roles = Mapping[str, Mapping[str, Task]]


@dataclass(frozen=True)
class Phase:
    """One phase as composed: its functions are ready to be called, `document` is what they were made of (for the key)."""

    name: str
    position: int
    reads: str
    modalities: tuple[str, ...] | None
    trainable: partial[dict[str, Rate]] | None
    objectives: tuple[partial[Any], ...]
    balance: partial[Any]
    optimizer: partial[torch.optim.Optimizer]
    schedule: partial[float]
    augment: tuple[partial[Any], ...]
    batch_size: int
    balanced: bool
    tasks: str
    temperature: float
    common: bool
    epochs: float | None
    steps: int | None
    patience: int | None
    stop_below: float | None
    keep: str
    document: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Setting:
    """What the phases of a run have in common.

    `recomputed`: under `force`, the keys this command has computed again already (a sweep does each once); else None.
    `pretrained`: the modalities whose encoders bring weights; where they stay frozen, they encode a data set once.
    """

    seed: int
    machine: Machine
    cache: Cache
    metric: str
    evaluations: int
    checkpoint_seconds: float
    recomputed: set[str] | None
    pretrained: frozenset[str]
    report: Callable[[dict[str, Any]], None]


def reading(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks that a phase reads, by role, with the modalities that it reads of them."""
    chosen = ("source", "target") if phase.reads == "both" else (phase.reads,)
    found = {role: task for each in chosen for role, task in roles[each].items()}
    for task in found.values():
        for name in phase.modalities or ():
            if name not in task.inputs:
                raise Problem(
                    f"phase {phase.name}: modalities={list(phase.modalities or ())}, but {task.name} has "
                    f"{' and '.join(sorted(task.inputs))}. Choose among these."
                )
    return {role: task if phase.modalities is None else task.only(*phase.modalities) for role, task in found.items()}


def judges(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks whose validation split decides what is kept and when patience ends."""
    if phase.keep == "last" and phase.patience is None:
        return {}
    named = phase.keep in ("best_source", "best_target")
    wanted = phase.keep.removeprefix("best_") if named else phase.reads
    found = reading(replace(phase, reads=wanted), roles)
    lacking = [role for role, task in found.items() if len(task.val) == 0]
    if not found or lacking:
        of = lacking[0] if lacking and wanted == "both" else wanted
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need validation examples of the "
            f"{of}{'' if found else ', and there is none'}. Raise {of}.val, or use keep=last without patience."
        )
    return found


def begun(phase: Phase, start: Start) -> list[Any]:
    """The phase's objectives, ready to be called. Raises `Problem` for arguments out of range."""
    made = [each(start) if isclass(each.func) else each for each in phase.objectives]
    penalties = getattr(start.network.sharing, "penalties", None)
    return made if penalties is None else [*made, penalties]


def begun_balance(phase: Phase, start: Start) -> Callable[[Mapping[str, Tensor], Backward], None]:
    """The phase's balance, ready to be called. A single task has nothing to balance."""
    if len(start.class_counts) < 2:
        return equal
    return phase.balance(start) if isclass(phase.balance.func) else phase.balance


def counted(read: Mapping[str, Task]) -> dict[str, Tensor]:
    return {role: task.class_counts() for role, task in read.items()}


def check(
    phase: Phase, network: Network, roles: Roles, copied: frozenset[str] = frozenset(), teacher: Network | None = None
) -> None:
    """Refuse, before any training, what the phase could not do with this network and these tasks."""
    read, judging = reading(phase, roles), judges(phase, roles)
    if not read or (phase.reads == "both" and not roles["source"]):
        missing = "source" if phase.reads == "both" else phase.reads
        raise Problem(f"phase {phase.name} reads the {missing}, and there is none. Choose one, e.g. source=mnist5k.")
    for task in (*read.values(), *judging.values()):
        if not task.inputs.keys() & network.encoder.keys():
            raise Problem(
                f"phase {phase.name}: {task.name} has {' and '.join(task.inputs)}, and the network reads "
                f"{' and '.join(network.encoder)}. Give both a modality in common, or let the phase read another task."
            )
        if task.labels.key not in network.head:
            raise Problem(
                f"phase {phase.name}: the network has no head for the classes of {task.name}, which the phase reads or is "
                f"judged by (reads={phase.reads}, keep={phase.keep}). Use tasks of the same classes, or read the other one."
            )
    start = Start(network, copied, counted(read), teacher)
    begun(phase, start)
    begun_balance(phase, start)
    _check_features(phase, network, read)
    if teacher is not None and not any(task.inputs.keys() & teacher.encoder.keys() for task in read.values()):
        raise Problem(
            f"phase {phase.name}: the teacher reads {' and '.join(teacher.encoder)}, which no task that the phase "
            "reads has. Choose a source or a target of pairs, or let the phase read both."
        )
    if needs_pairs(phase):
        _check_pairs(phase, network, read)
    trained = rates(phase, network, read)
    normalised = [name for name, module in network.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if any(f"{name}.weight" in trained for name in normalised):
        for role, task in read.items():
            if min(phase.batch_size, len(task.train)) == 1:
                raise Problem(
                    f"phase {phase.name}: batches of one example of the {role}, and batch normalisation needs two. "
                    "Raise batch_size or shots, or use an encoder without it, e.g. encoder/image=cnn."
                )


def _check_features(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Refuse a balance at the features where the tasks do not have them in common."""
    if len(read) < 2 or phase.balance.keywords.get("at") != "features":
        return
    common = len({(task.train.data, tuple(task.inputs)) for task in read.values()}) == 1 and phase.common
    if not common or (network.sharing is not None and network.sharing.below):
        which = ", ".join(task.name for task in read.values())
        raise Problem(
            f"balance.at=features: {which} do not read the same features. It needs tasks of the same examples "
            "(joint.common=true) under a sharing whose features are common (sharing=hard or all). Use balance.at=parameters."
        )


def needs_pairs(phase: Phase) -> bool:
    return any(getattr(each.func, "pairs", False) for each in phase.objectives)


def _check_pairs(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
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


def rates(phase: Phase, network: Network, read: Mapping[str, Task] | None = None) -> dict[str, Rate]:
    """The rates of what the phase trains, by name. Where several tasks have one network, only what a task that is `read` can
    move is trained (None: all): penalties would move the others.
    """
    found = {name: Rate() for name, _ in network.named_parameters()} if phase.trainable is None else phase.trainable(network)
    for name, plain in (network.sharing.stand_ins() if network.sharing is not None else {}).items():
        # What a task has for itself trains as what it stands in for.
        found.pop(name, None)
        found |= {name: found[plain]} if plain in found else {}
    for name, multiplier in (network.sharing.rates() if network.sharing is not None else {}).items():
        if (own := found.get(f"sharing.{name}")) is not None:
            found[f"sharing.{name}"] = own._replace(multiplier=own.multiplier * multiplier)
    if network.sharing is not None and read is not None:
        moved = {name for task in read.values() for name in moves(network, task)}
        found = {name: rate for name, rate in found.items() if name in moved}
    if not any(rate.start == 0 for rate in found.values()):
        raise Problem(f"phase {phase.name} trains no parameter from its start. Check its `trainable`.")
    return found


def steps(phase: Phase, steps_per_epoch: int) -> int:
    if phase.steps is not None:
        return phase.steps
    assert phase.epochs is not None
    return max(1, round(phase.epochs * steps_per_epoch))
