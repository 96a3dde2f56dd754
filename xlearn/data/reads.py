"""The views of tasks that a phase reads: labelled examples of source and target, and examples without their labels."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED, hidden, inputs, sources
from xlearn.runtime.errors import Problem

# The tasks of a run: `{"source": {name: task}, "target": {"target": task}}`.
Roles = Mapping[str, Mapping[str, Task]]


class View(NamedTuple):
    """A view of the tasks of one group of `Roles`.

    `role`: the role of its examples in batches (None: that of the task). `labelled`: whether its labels are shown. `required`:
    whether a phase that reads it needs such a task. `make`: the task as the phase sees it.
    """

    group: str
    role: str | None
    labelled: bool
    required: bool
    make: Callable[[Task], Task]


VIEWS = {
    "source": View("source", None, True, True, lambda task: task),
    "target": View("target", None, True, True, lambda task: task),
    "target.unlabeled": View("target", UNLABELED, False, True, hidden),
    "source.inputs": View("source", None, False, False, inputs),
    "target.inputs": View("target", UNLABELED, False, False, inputs),
}
ADAPTS = "target.unlabeled"
# Words from which the seeds of a phase are derived: those of earlier versions, so that its numbers stay the same.
_SEEDS: dict[tuple[str, ...], str] = {
    ("source", "target"): "both",
    ("target", "target.unlabeled"): "unlabeled",
    ("source", "target", "target.unlabeled"): "everything",
    ("source.inputs", "target.inputs"): "inputs",
}


def seed_word(reads: Sequence[str]) -> str:
    """The word that stands for these views where seeds are derived."""
    return _SEEDS.get(tuple(reads), "+".join(reads))


def in_order(reads: Sequence[str]) -> tuple[str, ...]:
    """The views in their usual order: `[target,source]` and `[source,target]` are one phase."""
    return tuple(name for name in VIEWS if name in reads)


def groups(reads: Sequence[str]) -> set[str]:
    """The groups of `Roles` that the views read."""
    return {VIEWS[name].group for name in reads}


def read_tasks(reads: Sequence[str], modalities: Sequence[str] | None, roles: Roles, phase: str) -> dict[str, Task]:
    """The tasks that these views show, by role, restricted to `modalities`. `phase`: its name, for messages.

    Labelled examples of the target are left out where there are none and the phase reads its unlabelled ones too. A target of
    episodes, all of whose examples are measured, shows no inputs.
    """
    found = {}
    for name in reads:
        view = VIEWS[name]
        for role, task in roles[view.group].items():
            if _shows(name, task, reads):
                found[view.role or role] = view.make(task)
    for task in found.values():
        for name in modalities or ():
            if name not in task.inputs:
                raise Problem(
                    f"phase {phase}: modalities={list(modalities or ())}, but {task.name} has "
                    f"{' and '.join(sorted(task.inputs))}. Choose among these."
                )
    return found if modalities is None else {role: task.only(*modalities) for role, task in found.items()}


def _shows(name: str, task: Task, reads: Sequence[str]) -> bool:
    view = VIEWS[name]
    if not view.required:
        return len(task.training) > 0
    optional = name == "target" and ADAPTS in reads
    return not optional or len(task.train) > 0


def check_groups(reads: Sequence[str], read: Mapping[str, Task], roles: Roles, phase: str, taught: bool) -> None:
    """Raise `Problem` if the phase reads a task that there is not. A student (`taught`) needs no source data: its teacher may
    be a checkpoint.
    """
    missing = [VIEWS[name].group for name in reads if VIEWS[name].required and not roles[VIEWS[name].group]]
    if not read or (missing and not taught):
        raise Problem(
            f"phase {phase} reads the {' '.join(missing[:1] or reads)}, but there is none. Choose one, e.g. source=mnist5k."
        )


def check_unlabeled(reads: Sequence[str], read: Mapping[str, Task], roles: Roles, heads: Container[str], phase: str) -> None:
    """Raise `Problem` for a phase that adapts without unlabelled examples, or between different label spaces. `heads`: the keys
    of the network's heads.
    """
    if ADAPTS not in reads:
        return
    target = roles["target"]["target"]
    if len(target.unlabeled) == 1:
        raise Problem(f"phase {phase} adapts to unlabelled examples of {target.name}, but there is only one. Lower target.val.")
    if len(target.unlabeled) == 0:
        raise Problem(
            f"phase {phase} adapts to unlabelled examples of the target, but all examples of {target.name} are labelled. "
            "Set target.shots=0 to hide all labels, or to a number of labels per class."
        )
    if len(target.train) == 0 and "source" not in reads and target.labels.key not in heads:
        raise Problem(f"phase {phase}: no head predicts the classes of {target.name}. Use a source with these classes.")
    for role in sources(read):
        if read[role].labels.key != target.labels.key:
            raise Problem(
                f"phase {phase}: label spaces differ: {read[role].name} has {', '.join(read[role].labels.classes[:12])}, "
                f"{target.name} has {', '.join(target.labels.classes[:12])}. Adaptation without labels needs the same classes: "
                f"select them (source.{role}.classes=[...], groups), or use target labels (target.shots=5, transfer=finetune)."
            )
