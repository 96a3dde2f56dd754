"""What a phase is: the batches it reads, what it minimises, what it trains, how long, and which weights it keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from xlearn.cache import Cache
from xlearn.errors import Problem
from xlearn.machine import Machine
from xlearn.network import Network
from xlearn.task import Task
from xlearn.trainable import Rate


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
    """What the phases of a run have in common."""

    seed: int
    machine: Machine
    cache: Cache
    metric: str
    evaluations: int
    checkpoint_seconds: float
    force: bool
    network: dict[str, Any]
    report: Callable[[dict[str, Any]], None]


def judges(phase: Phase, tasks: Mapping[str, Task], others: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks whose validation split decides what is kept and when patience ends."""
    if phase.keep == "last" and phase.patience is None:
        return {}
    wanted = phase.reads if phase.keep == "last" else phase.keep.removeprefix("best_")
    found = dict(tasks) if wanted == phase.reads else dict(others)
    if not found or any(len(task.val) == 0 for task in found.values()):
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need validation examples of the "
            f"{wanted}. Raise its val, or use keep=last without patience."
        )
    return found


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
