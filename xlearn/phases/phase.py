"""The definition of a phase: the tasks it reads, its objectives, trained parameters, budget and selection of weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from inspect import isclass
from typing import Any

import torch
from torch import Tensor

from xlearn.balance import Backward
from xlearn.balance._equal import equal
from xlearn.data.episodes import Kind
from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED, hidden, inputs, is_hidden
from xlearn.networks.network import Network
from xlearn.objectives import ExtraUpdate, PhaseContext
from xlearn.runtime.cache import Cache
from xlearn.runtime.errors import Problem
from xlearn.runtime.fingerprints import described
from xlearn.runtime.machine import Machine
from xlearn.sharing.together import moves
from xlearn.trainable import Rate

# The tasks of a run: `{"source": {name: task}, "target": {"target": task}}`.
Roles = Mapping[str, Mapping[str, Task]]
# The values of `reads`, and the groups of `Roles` that each reads.
READS = {
    "source": ("source",), "target": ("target",), "both": ("source", "target"),
    "unlabeled": ("target",), "everything": ("source", "target"), "inputs": ("source", "target"),
}  # fmt: skip
# The values of `reads` with the target's unlabelled examples, and its labelled ones if there are any.
ADAPTING = ("unlabeled", "everything")


# Metadata of a field that does not determine the weights of a phase, or that another part of its cache key covers.
NOT_IN_KEY = {"key": False}


@dataclass(frozen=True)
class Phase:
    """One phase, built from its configuration. Its components are partial functions."""

    name: str = field(metadata=NOT_IN_KEY)
    position: int
    reads: str
    modalities: tuple[str, ...] | None
    trainable: partial[dict[str, Rate]] | None
    taught_by: str | None = field(metadata=NOT_IN_KEY)  # the digests of its teachers are in the key
    begins: str | None = field(metadata=NOT_IN_KEY)  # the digest of the weights that it starts from is
    objectives: tuple[partial[Any], ...]
    balance: partial[Any]
    optimizer: partial[torch.optim.Optimizer]
    schedule: partial[float]
    augment: tuple[partial[Any], ...]
    views: tuple[partial[Any], ...]
    batch_size: int
    balanced: bool
    tasks: str
    temperature: float
    common: bool
    merge: partial[dict[str, Tensor]] | None
    solver: partial[Any] | None
    base_learner: partial[Any] | None
    kind: Kind | None
    epochs: float | None
    steps: int | None
    patience: int | None
    stop_below: float | None
    keep: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The definition of the phase for its cache key: all fields except those marked `NOT_IN_KEY`."""
        return {each.name: described(getattr(self, each.name)) for each in fields(self) if each.metadata.get("key", True)}

    @property
    def adapts(self) -> bool:
        """Whether it reads the target's unlabelled examples."""
        return self.reads in ADAPTING


@dataclass(frozen=True)
class Setting:
    """The settings that all phases of a run share.

    `recomputed`: with `force=true`, the cache keys that this command has recomputed (a sweep recomputes each once); else
    None. `pretrained`: the modalities with a pretrained encoder; a frozen one encodes a data set once.
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
    """The tasks that a phase reads, by role, restricted to the phase's modalities."""
    found = {role: task for each in READS[phase.reads] for role, task in roles[each].items()}
    if phase.adapts:
        target = found.pop("target")
        # Labelled target examples, if any, are read in addition to the source's.
        found |= {"target": target} if len(target.train) else {}
        found[UNLABELED] = hidden(target)
    if phase.reads == "inputs":
        # A target of episodes has no training examples: all its examples are measured.
        found = {UNLABELED if role == "target" else role: inputs(task) for role, task in found.items() if len(task.training)}
    for task in found.values():
        for name in phase.modalities or ():
            if name not in task.inputs:
                raise Problem(
                    f"phase {phase.name}: modalities={list(phase.modalities or ())}, but {task.name} has "
                    f"{' and '.join(sorted(task.inputs))}. Choose among these."
                )
    return {role: task if phase.modalities is None else task.only(*phase.modalities) for role, task in found.items()}


def judges(phase: Phase, roles: Roles) -> dict[str, Task]:
    """The tasks that select the weights and decide early stopping (`patience`), by their validation splits."""
    if not trains_heads(phase) or (phase.patience is None and (phase.keep == "last" or phase.adapts)):
        return {}  # adaptation phases use selection rules (`xlearn.selection`), episodic ones validation episodes
    named = phase.keep in ("best_source", "best_target")
    wanted = phase.keep.removeprefix("best_") if named else "source" if phase.adapts else phase.reads
    found = reading(replace(phase, reads=wanted), roles)
    lacking = [role for role, task in found.items() if len(task.val) == 0]
    if not found or lacking:
        of = lacking[0] if lacking and wanted == "both" else wanted
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} and patience={phase.patience} need validation examples of the "
            f"{of}{'' if found else ', but there is none'}. Raise {of}.val, or use keep=last without patience."
        )
    return found


def begun(phase: Phase, context: PhaseContext) -> list[Any]:
    """Build the phase's objectives and penalties. Raises `Problem` for arguments out of range."""
    made = [each(context) if isclass(each.func) else each for each in phase.objectives]
    penalties = getattr(context.network.sharing, "penalties", None)
    return made if penalties is None else [*made, penalties]


def extra_updates(objectives: Sequence[Any]) -> list[ExtraUpdate]:
    """The additional updates of each step, in order."""
    return [extra for each in objectives for extra in getattr(each, "extra_updates", list)()]


def begun_balance(phase: Phase, context: PhaseContext) -> Callable[[Mapping[str, Tensor], Backward], None]:
    """Build the phase's balance; `equal` for a single task."""
    if len(context.class_counts) < 2:
        return equal
    return phase.balance(context) if isclass(phase.balance.func) else phase.balance


def counted(read: Mapping[str, Task]) -> dict[str, Tensor]:
    """Labelled examples per class, by role. Roles without labels are left out."""
    return {role: task.class_counts() for role, task in read.items() if not is_hidden(task.train.labels)}


def lessons(phase: Phase) -> set[str]:
    """The teacher outputs that the phase's objectives use, `logits` and `features`, which can be precomputed (see
    `xlearn.phases.teacher_outputs`).
    """
    return {name for each in phase.objectives for name in getattr(each.func, "lessons", ())}


def looks_inside(phase: Phase) -> bool:
    """Whether an objective reads outputs of intermediate modules of the network."""
    return any(getattr(each.func, "looks_inside", False) or each.keywords.get("student") for each in phase.objectives)


def runs_teacher(phase: Phase) -> bool:
    """Whether teachers must run at every step: for augmented inputs, or because their intermediate outputs are read."""
    looked_at = any(getattr(each.func, "runs_teacher", False) or each.keywords.get("teacher") for each in phase.objectives)
    return phase.taught_by is not None and (bool(phase.augment) or looked_at)


def labelled(phase: Phase, read: Mapping[str, Task]) -> list[str]:
    """The labelled roles that the phase learns from: the objective's `roles` (default all), or the target in distillation."""
    main = phase.objectives[0]
    if not trains_heads(phase):
        return []
    # When the phase adapts, sources and unlabelled examples use the target's head.
    if getattr(main.func, "lessons", ()) and not phase.adapts:
        return [role for role in read if role == "target"]
    return [role for role in read if role in (main.keywords.get("roles") or read)]


def learns_from_labels(phase: Phase) -> bool:
    return bool(getattr(phase.objectives[0].func, "labels", True))


def trains_heads(phase: Phase) -> bool:
    """Whether the phase trains the heads of the tasks it reads. Episodes use a separate head, or none."""
    heads = bool(getattr(phase.objectives[0].func, "heads", True))
    return phase.base_learner is None and heads and learns_from_labels(phase)


def changes_inputs(phase: Phase) -> bool:
    """Whether an objective makes views of the inputs or masks them, so that encoder outputs cannot be precomputed."""
    return any(getattr(each.func, name, False) for each in phase.objectives for name in ("views", "changes_inputs"))


def needs_pairs(phase: Phase) -> bool:
    return any(getattr(each.func, "pairs", False) for each in phase.objectives)


def rates(phase: Phase, network: Network, read: Mapping[str, Task] | None = None) -> dict[str, Rate]:
    """The trained parameters of a phase with their rates, by name. In a network of several tasks, only parameters that a task
    in `read` uses are trained (None: all), because penalties would change the others.
    """
    found = {name: Rate() for name, _ in network.named_parameters()} if phase.trainable is None else phase.trainable(network)
    for name, plain in (network.sharing.stand_ins() if network.sharing is not None else {}).items():
        # A private copy trains at the rate of the shared parameter it replaces.
        found.pop(name, None)
        found |= {name: found[plain]} if plain in found else {}
    for name, multiplier in (network.sharing.rates() if network.sharing is not None else {}).items():
        if (own := found.get(f"sharing.{name}")) is not None:
            found[f"sharing.{name}"] = own._replace(multiplier=own.multiplier * multiplier)
    if network.sharing is not None and read is not None:
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
