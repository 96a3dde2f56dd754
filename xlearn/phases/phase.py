"""The definition of a phase: the tasks it reads, its objectives, trained parameters, budget and selection of weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from inspect import isclass
from typing import Any

import torch
from torch import Tensor

from xlearn.balance import Backward
from xlearn.balance._equal import equal
from xlearn.batches import Asked, Batching
from xlearn.data.augment import CHANGES_INPUTS
from xlearn.data.reads import ADAPTS, VIEWS, Roles, groups, read_tasks
from xlearn.data.task import Task
from xlearn.data.unlabeled import is_hidden
from xlearn.networks.network import Network
from xlearn.objectives import ExtraUpdate, PhaseContext, learns_from
from xlearn.phases.keeping import Keeping
from xlearn.runtime.cache import Cache
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.machine import Machine
from xlearn.runtime.needs import Needs, declared, union
from xlearn.sharing.together import moves
from xlearn.trainable import Rate

# Metadata of a field that does not determine the weights of a phase, or that another part of its cache key covers.
NOT_IN_KEY = {"key": False}


@dataclass(frozen=True)
class Phase:
    """One phase, built from its configuration. Its components are partial functions, except `batches`, `keeping` and `solver`.

    `reads`: the views of tasks (see `xlearn.data.reads`). `teachers`: `source`, `sources` or earlier phases. `restarts`: it
    starts from the weights that the chain began with, not from those of the phase before.
    """

    name: str = field(metadata=NOT_IN_KEY)
    position: int
    reads: tuple[str, ...]
    modalities: tuple[str, ...] | None
    trainable: partial[dict[str, Rate]]
    teachers: tuple[str, ...] = field(metadata=NOT_IN_KEY)  # their digests are in the key
    restarts: bool = field(metadata=NOT_IN_KEY)  # the digest of the weights that it starts from is in the key
    objectives: tuple[partial[Any], ...]
    balance: partial[Any]
    optimizer: partial[torch.optim.Optimizer]
    schedule: partial[float]
    clip: float
    augment: tuple[partial[Any], ...]
    views: tuple[partial[Any], ...]
    batches: Batching = field(metadata=NOT_IN_KEY)  # their document is in the key, as those of the next two
    keeping: Keeping = field(metadata=NOT_IN_KEY)
    solver: Any = field(metadata=NOT_IN_KEY)
    merge: partial[dict[str, Tensor]]
    epochs: float | None
    steps: int | None
    patience: int | None
    stop_below: float | None
    # Whether its own node sets `epochs` or `steps`, instead of the budget; they are in the key.
    sets_length: bool = field(default=False, metadata=NOT_IN_KEY)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The definition of the phase for its cache key: all fields except those marked `NOT_IN_KEY`."""
        return {each.name: described(getattr(self, each.name)) for each in fields(self) if each.metadata.get("key", True)}

    @cached_property
    def needs(self) -> Needs:
        """What its objectives, its solver and its batches need together."""
        return union(map(declared, self.objectives)) | self.solver.needs | self.batches.needs

    @cached_property
    def augments(self) -> Needs:
        """What its augmentations need together."""
        return union(declared(each, CHANGES_INPUTS) for each in self.augment)

    @property
    def trains_heads(self) -> bool:
        """Whether the phase trains the heads of the tasks it reads. Episodes use a separate head, or none."""
        return self.needs.trains_head and self.batches.by_role

    @property
    def runs_teachers(self) -> bool:
        """Whether teachers must run at every step: for augmented inputs, or because their intermediate outputs are read."""
        return bool(self.teachers) and (bool(self.augment) or "network" in self.needs.teacher)

    @property
    def adapts(self) -> bool:
        """Whether it reads the target's unlabelled examples."""
        return ADAPTS in self.reads

    @property
    def reads_sources(self) -> bool:
        return "source" in groups(self.reads)

    @property
    def asked(self) -> Asked:
        return Asked(self.name, self.keeping.rule, self.keeping.selects, self.patience)


@dataclass(frozen=True)
class Setting:
    """The settings that all phases of a run share.

    `forced`: with `force=true`, the id of the command, which computes each phase once, in whichever process; else None.
    `pretrained`: the modalities with a pretrained encoder; a frozen one encodes a data set once. `statistics`: of batch
    normalisation at the end of a phase, `exact` or `running` (see `xlearn.phases.normalization`).
    """

    seed: int
    machine: Machine
    cache: Cache
    metric: str
    evaluations: int
    statistics: str
    checkpoint_seconds: float
    forced: str | None
    pretrained: frozenset[str]
    report: Callable[[dict[str, Any]], None]


def reading(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks that a phase reads, by role, restricted to the phase's modalities."""
    return read_tasks(phase.reads, phase.modalities, roles, phase.name)


def judges(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks that select the weights and decide early stopping (`patience`), by their validation splits."""
    wanted = phase.keeping.judges(phase.reads, phase.patience) if phase.trains_heads else ()
    found = read_tasks(wanted, phase.modalities, roles, phase.name)
    lacking = [role for role, task in found.items() if len(task.val) == 0]
    if wanted and (not found or lacking):
        of = lacking[0] if lacking and len(wanted) > 1 else " and ".join(wanted)
        raise Problem(
            f"phase {phase.name}: keep={phase.keeping.rule} and patience={phase.patience} need validation examples of the "
            f"{of}{'' if found else ', but there is none'}. Raise {of}.val, or use keep=last without patience."
        )
    return found


def begun(phase: Phase, context: PhaseContext) -> list[Any]:
    """Build the phase's objectives and penalties. Raises `Problem` for arguments out of range."""
    made = [each(context) if isclass(each.func) else each for each in phase.objectives]
    return [*made, context.network.sharing.penalties]


def extra_updates(objectives: Sequence[Any]) -> list[ExtraUpdate]:
    """The additional updates of each step, in order."""
    return [extra for each in objectives for extra in each.extra_updates()]


def begun_balance(phase: Phase, context: PhaseContext) -> Callable[[Mapping[str, Tensor], Backward], None]:
    """Build the phase's balance; `equal` for a single task."""
    if len(context.class_counts) < 2:
        return equal
    return phase.balance(context) if isclass(phase.balance.func) else phase.balance


def counted(read: Mapping[str, Task]) -> dict[str, Tensor]:
    """Labelled examples per class, by role. Roles without labels are left out."""
    return {role: task.class_counts() for role, task in read.items() if not is_hidden(task.train.labels)}


def labelled(phase: Phase, read: Mapping[str, Task]) -> list[str]:
    """The roles whose heads the phase trains by their labels."""
    if not phase.trains_heads:
        return []
    # When the phase adapts, sources and unlabelled examples use the target's head.
    if not all(VIEWS[name].labelled for name in phase.reads):
        return [*read]
    return learns_from(phase.objectives[0], [*read])


def rates(phase: Phase, network: Network, read: Mapping[str, Task] | None = None) -> dict[str, Rate]:
    """The trained parameters of a phase with their rates, by name. In a network of several tasks, only parameters that a task
    in `read` uses are trained (None: all), because penalties would change the others.
    """
    found = dict(phase.trainable(network))
    for name, plain in network.sharing.stand_ins().items():
        # A private copy trains at the rate of the shared parameter it replaces.
        found.pop(name, None)
        found |= {name: found[plain]} if plain in found else {}
    for name, multiplier in network.sharing.rates().items():
        if (own := found.get(f"sharing.{name}")) is not None:
            found[f"sharing.{name}"] = own._replace(multiplier=own.multiplier * multiplier)
    if network.sharing.parts and read is not None:
        moved = {name for task in read.values() for name in moves(network, task)}
        found = {name: rate for name, rate in found.items() if name in moved}
    if not any(rate.start == 0 for rate in found.values()):
        if all(name.startswith("head.") for name, _ in network.named_parameters()):
            raise Problem(
                f"phase {phase.name} trains the layers below the heads, but this network has no parameters there. "
                "Choose another encoder, e.g. encoder/image=cnn, or a trunk (trunk=mlp)."
            )
        raise Problem(f"phase {phase.name} trains no parameter from its first step on. Check its `trainable`.")
    return found


def steps(phase: Phase, steps_per_epoch: int) -> int:
    if phase.steps is not None:
        return phase.steps
    assert phase.epochs is not None
    return max(1, round(phase.epochs * steps_per_epoch))
