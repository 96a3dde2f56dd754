"""Checks of a phase against its network and tasks, before any training."""

from collections.abc import Mapping, Sequence
from functools import partial

from xlearn.data.reads import Roles, check_groups, check_unlabeled
from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext, objective
from xlearn.objectives.parts.views import viewed
from xlearn.phases.feasible_needs import check_effect, check_needs
from xlearn.phases.phase import (
    Phase,
    begun,
    begun_balance,
    counted,
    judges,
    labelled,
    reading,
)
from xlearn.phases.teacher_outputs import Teaching
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared


def check(
    phase: Phase, network: Network, roles: Roles, copied: frozenset[str] = frozenset(), teachings: Sequence[Teaching] = ()
) -> None:
    """Raise `Problem`, before any training, if the phase cannot run with this network and these tasks."""
    read, judging = reading(phase, roles), judges(phase, roles)
    check_groups(phase.reads, read, roles, phase.name, bool(phase.teachers))
    if empty := [task.name for task in read.values() if len(task.train) == 0 and not phase.needs.unlabeled]:
        raise Problem(
            f"phase {phase.name} learns from labels of {empty[0]}, but shots=0 leaves no labels. Raise target.shots, or use a "
            "transfer that adapts without labels, e.g. transfer=coral, or transfer=source_only."
        )
    check_unlabeled(phase.reads, read, roles, network.head, phase.name)
    check_needs(phase, network, read)
    phase.keeping.check(phase.name, read, roles["target"]["target"], phase.solver.trains)
    phase.batches.check(phase.asked, read, phase.augments.one_task, phase.reads)
    named = labelled(phase, read)
    for role, task in [*read.items(), *judging.items()]:
        if not task.inputs.keys() & network.encoder.keys():
            raise Problem(
                f"phase {phase.name}: {task.name} has {' and '.join(task.inputs)}, but the network reads "
                f"{' and '.join(network.encoder)}. Choose tasks with a common modality, or let the phase read another task."
            )
        if task.labels.key not in network.head and (role in named or role in judging):
            raise Problem(
                f"phase {phase.name}: the network has no head for the classes of {task.name}, which the phase learns from or "
                f"is evaluated on (reads=[{','.join(phase.reads)}], keep={phase.keeping.rule}). Use tasks with the same "
                "classes, or change reads."
            )
    _check_teachers(phase, network, read, teachings)
    teachers = tuple(each.network for each in teachings)
    view = partial(viewed, views=phase.views)
    context = PhaseContext(
        network, copied, counted(read), teachers, tasks=read, validation=_validation(teachings, roles), view=view,
        **phase.batches.context(),
    )  # fmt: skip
    made = [objective(each) for each in begun(phase, context)]
    begun_balance(phase, context)
    for each in (network, *teachers):
        each.listening = []
    phase.merge({}, {})
    _check_sizes(phase, read)
    _check_features(phase, network, read)
    check_effect(phase, network, read, copied)
    phase.solver.check(phase, network, read, made)


def _validation(teachings: Sequence[Teaching], roles: Roles) -> tuple[float | None, ...] | None:
    """Placeholders of the teachers' validation losses: 0.0 for a teacher that will have one, None for one that will not."""
    target = roles["target"].get("target")
    # Without training labels, the labels of the validation split are hidden too.
    if target is None or len(target.val) == 0 or len(target.train) == 0:
        return None
    return tuple(0.0 if each.reads(target.val) and target.labels.key in each.network.head else None for each in teachings)


def _check_teachers(phase: Phase, network: Network, read: Mapping[str, Task], teachings: Sequence[Teaching]) -> None:
    """Raise for a teacher that no objective uses, that can read no task, that has other classes than the student, or that
    reads another form of an augmented input.
    """
    if teachings and not phase.needs.teacher:
        raise Problem(
            f"phase {phase.name}: teachers=[{','.join(phase.teachers)}], but none of its objectives and penalties uses a "
            "teacher. Set teachers=[], or use a distillation objective, as in transfer=kd."
        )
    for each in teachings:
        readable = {role: task for role, task in read.items() if each.reads(task.train)}
        if not readable:
            raise Problem(
                f"phase {phase.name}: the teacher reads {' and '.join(each.network.encoder)}, but no task of the phase "
                "has this modality. Choose a source or a target of paired modalities, or set reads=[source,target]."
            )
        for task in readable.values() if "logits" in phase.needs.teacher else ():
            if task.labels.key not in each.network.head or task.labels.key not in network.head:
                raise Problem(
                    f"phase {phase.name}: teacher and student do not both have a head for the classes of {task.name} "
                    f"({', '.join(task.labels.classes[:12])}). Choose a source with the classes of the target, or a transfer "
                    "that distils features, e.g. rkd."
                )
        for role, task in readable.items() if phase.runs_teachers else ():
            form = each.tasks().get(role, each.roles["target"]["target"])  # unlabelled ones are the target's
            if other := [name for name in task.inputs if name in form.inputs and form.inputs[name] != task.inputs[name]]:
                raise Problem(
                    f"phase {phase.name}: the teacher reads another form of {other[0]} than the student, so its outputs must "
                    "be precomputed. Set augment=[], and use a method that distils logits or features."
                )


def _check_sizes(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for batches with fewer examples than an objective needs."""
    for each in phase.objectives:
        needed = declared(each).batch
        for role, task in read.items():
            kind = "unlabelled" if role == UNLABELED else "labelled"
            if (there := phase.batches.size(len(task.train))) < needed:
                raise Problem(
                    f"phase {phase.name}: {each.func.__name__} needs batches of {needed} examples, but batches of {task.name} "
                    f"have {there} ({len(task.train)} {kind} examples). Raise batch_size or shots."
                )


def _check_features(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Raise for a balance that needs common features (`balance.at=features`) if the tasks do not share them."""
    if len(read) < 2 or not declared(phase.balance).common_features:
        return
    same = len({(task.train.data, tuple(task.inputs)) for task in read.values()}) == 1
    # Distillation makes a separate batch for each task.
    if not same or not phase.batches.shares(bool(phase.teachers)) or network.sharing.below:
        which = ", ".join(task.name for task in read.values())
        raise Problem(
            f"balance.at=features: {which} do not share their features. It needs tasks of the same examples "
            "(joint.common=true) and a sharing with common features (sharing=hard or all). Use balance.at=parameters."
        )
