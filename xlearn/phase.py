"""What a phase is: the batches it reads, what it minimises, what it trains, how long, and which weights it keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from xlearn.cache import Cache
from xlearn.errors import Problem
from xlearn.machine import Machine
from xlearn.network import Network
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
    trainable: partial[dict[str, Rate]] | None
    objectives: tuple[partial[Any], ...]
    balance: partial[None]
    optimizer: partial[torch.optim.Optimizer]
    schedule: partial[float]
    augment: tuple[partial[Any], ...]
    batch_size: int
    balanced: bool
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
    """

    seed: int
    machine: Machine
    cache: Cache
    metric: str
    evaluations: int
    checkpoint_seconds: float
    recomputed: set[str] | None
    network: dict[str, Any]
    report: Callable[[dict[str, Any]], None]


def judges(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks whose validation split decides what is kept and when patience ends."""
    if phase.keep == "last" and phase.patience is None:
        return {}
    wanted = phase.reads if phase.keep == "last" else phase.keep.removeprefix("best_")
    found = dict(roles[wanted])
    if not found or any(len(task.val) == 0 for task in found.values()):
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need validation examples of the "
            f"{wanted}{'' if found else ', and there is none'}. Raise {wanted}.val, or use keep=last without patience."
        )
    return found


def check(phase: Phase, network: Network, roles: Roles) -> None:
    """Refuse, before any training, what the phase could not do with this network and these tasks."""
    read, judging = roles[phase.reads], judges(phase, roles)
    if not read:
        raise Problem(f"phase {phase.name} reads the {phase.reads}, and there is none. Choose one, e.g. source=mnist5k.")
    for task in (*read.values(), *judging.values()):
        if task.labels.key not in network.head:
            raise Problem(
                f"phase {phase.name}: the network has no head for the classes of {task.name}, which the phase reads or is "
                f"judged by (reads={phase.reads}, keep={phase.keep}). Use tasks of the same classes, or read the other one."
            )
    trained = rates(phase, network)
    normalised = [name for name, module in network.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if any(f"{name}.weight" in trained for name in normalised):
        for role, task in read.items():
            if min(phase.batch_size, len(task.train)) == 1:
                raise Problem(
                    f"phase {phase.name}: batches of one example of the {role}, and batch normalisation needs two. "
                    "Raise batch_size or shots, or use an encoder without it, e.g. encoder/image=cnn."
                )


def rates(phase: Phase, network: Network) -> dict[str, Rate]:
    if phase.trainable is None:
        return {name: Rate() for name, _ in network.named_parameters()}
    found = phase.trainable(network)
    if not any(rate.start == 0 for rate in found.values()):
        raise Problem(f"phase {phase.name} trains no parameter from its start. Check its `trainable`.")
    return found


def steps(phase: Phase, steps_per_epoch: int) -> int:
    if phase.steps is not None:
        return phase.steps
    assert phase.epochs is not None
    return max(1, round(phase.epochs * steps_per_epoch))
