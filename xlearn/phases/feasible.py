"""Checks of a phase against its network and tasks, before any training."""

from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn

from xlearn.data.augment import holds
from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.parts.views import viewed
from xlearn.phases.feasible_kinds import check_episodes, check_labels, check_pairs, check_spaces
from xlearn.phases.phase import (
    Phase,
    Roles,
    begun,
    begun_balance,
    counted,
    extra_updates,
    judges,
    labelled,
    lessons,
    needs_pairs,
    rates,
    reading,
    runs_teacher,
)
from xlearn.phases.teacher_outputs import Teaching
from xlearn.runtime.errors import Problem


def check(
    phase: Phase, network: Network, roles: Roles, copied: frozenset[str] = frozenset(), teachings: Sequence[Teaching] = ()
) -> None:
    """Raise `Problem`, before any training, if the phase cannot run with this network and these tasks."""
    read, judging = reading(phase, roles), judges(phase, roles)
    # A student needs no source data: its teacher may be a checkpoint.
    if not read or (phase.reads in ("both", "everything") and not roles["source"] and phase.taught_by is None):
        missing = "source" if phase.reads in ("both", "everything") else phase.reads
        raise Problem(f"phase {phase.name} reads the {missing}, but there is none. Choose one, e.g. source=mnist5k.")
    if empty := [task.name for task in read.values() if len(task.train) == 0 and not phase.adapts]:
        raise Problem(
            f"phase {phase.name} learns from labels of {empty[0]}, but shots=0 leaves no labels. Raise target.shots, or use a "
            "transfer that adapts without labels, e.g. transfer=coral, or transfer=source_only."
        )
    check_labels(phase, network, read)
    check_episodes(phase, read)
    check_spaces(phase, read)
    if phase.adapts:
        _check_adaptation(phase, network, read, roles)
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
                f"is evaluated on (reads={phase.reads}, keep={phase.keep}). Use tasks with the same classes, or change reads."
            )
    _check_teachers(phase, network, read, teachings)
    teachers = tuple(each.network for each in teachings)
    view = partial(viewed, views=phase.views)
    context = PhaseContext(
        network, copied, counted(read), teachers, tasks=read, validation=_validation(teachings, roles), view=view,
        learner=None if phase.base_learner is None else phase.base_learner(), kind=phase.kind,
    )  # fmt: skip
    made = begun(phase, context)
    begun_balance(phase, context)
    for each in (network, *teachers):
        each.listening = []
    if phase.merge is not None:
        phase.merge({}, {})
    _check_sizes(phase, read)
    _check_features(phase, network, read)
    if needs_pairs(phase):
        check_pairs(phase, network, read)
    if phase.solver is not None:
        phase.solver(network, read)  # raises if it cannot be solved
        return
    trained = rates(phase, network, read)
    for extra in extra_updates(made):
        if not any(extra.moves(name) for name in trained) and not len(extra.own):
            raise Problem(f"phase {phase.name}: an update of its step changes no parameter it trains. Check its `trainable`.")
    normalised = [name for name, module in network.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if any(f"{name}.{part}" in trained for name in normalised for part in ("weight", "bias")):
        for role, task in read.items():
            if min(phase.batch_size, len(task.train)) == 1:
                raise Problem(
                    f"phase {phase.name}: the {role} has batches of one example, but batch normalisation needs two. "
                    "Raise batch_size or shots, or use an encoder without batch normalisation, e.g. encoder/image=cnn."
                )


def _check_adaptation(phase: Phase, network: Network, read: Mapping[str, Task], roles: Roles) -> None:
    """Raise for adaptation without unlabelled examples, across label spaces, or with a selection rule that lacks its data."""
    target = roles["target"]["target"]
    if phase.solver is None and not any(getattr(each.func, "unlabeled", False) for each in phase.objectives):
        raise Problem(
            f"phase {phase.name}: reads={phase.reads}, but none of its objectives and penalties uses unlabelled examples. Add "
            "one that does, as in transfer=coral, or set reads=both, target or source."
        )
    if len(target.unlabeled) == 1:
        raise Problem(
            f"phase {phase.name} adapts to unlabelled examples of {target.name}, but there is only one. Lower target.val."
        )
    if len(target.unlabeled) == 0:
        raise Problem(
            f"phase {phase.name} adapts to unlabelled examples of the target, but all examples of {target.name} are labelled. "
            "Set target.shots=0 to hide all labels, or to a number of labels per class."
        )
    if len(target.train) == 0 and phase.reads == "unlabeled" and target.labels.key not in network.head:
        raise Problem(f"phase {phase.name}: no head predicts the classes of {target.name}. Use a source with these classes.")
    for role in sources(read):
        if read[role].labels.key != target.labels.key:
            raise Problem(
                f"phase {phase.name}: label spaces differ: {read[role].name} has {', '.join(read[role].labels.classes[:12])}, "
                f"{target.name} has {', '.join(target.labels.classes[:12])}. Adaptation without labels needs the same classes: "
                f"select them (source.{role}.classes=[...], groups), or use target labels (target.shots=5, transfer=finetune)."
            )
    if any(holds("mixes_labels", each) for each in phase.augment):
        raise Problem(f"phase {phase.name}: augment=mixup mixes labels, but some examples are unlabelled. Leave it out.")
    held = sum(len(read[role].val) for role in sources(read)) > 1
    if phase.keep in ("source_val", "importance_weighted", "dev") and not held:
        raise Problem(
            f"phase {phase.name}: keep={phase.keep} needs a validation split of the source, but the phase reads none. Use "
            "keep=entropy, infomax, snd or last."
        )
    if phase.keep == "oracle" and len(target.val) == 0:
        raise Problem(f"phase {phase.name}: keep=oracle needs validation examples of the target. Raise target.val.")
    if phase.solver is not None and phase.keep != "last":
        raise Problem(f"phase {phase.name} has a closed-form solution, so keep={phase.keep} cannot select. Use keep=last.")


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
    asks = lessons(phase) or any(getattr(each.func, "runs_teacher", False) for each in phase.objectives)
    if teachings and not asks:
        raise Problem(
            f"phase {phase.name}: taught_by={phase.taught_by}, but none of its objectives and penalties uses a teacher. Set "
            "taught_by: null, or use a distillation objective, as in transfer=kd."
        )
    for each in teachings:
        seen = {role: task for role, task in read.items() if each.reads(task.train)}
        if not seen:
            raise Problem(
                f"phase {phase.name}: the teacher reads {' and '.join(each.network.encoder)}, but no task of the phase "
                "has this modality. Choose a source or a target of paired modalities, or set reads: both."
            )
        for task in seen.values() if "logits" in lessons(phase) else ():
            if task.labels.key not in each.network.head or task.labels.key not in network.head:
                raise Problem(
                    f"phase {phase.name}: teacher and student do not both have a head for the classes of {task.name} "
                    f"({', '.join(task.labels.classes[:12])}). Choose a source with the classes of the target, or a transfer "
                    "that distils features, e.g. rkd."
                )
        for role, task in seen.items() if runs_teacher(phase) else ():
            form = each.tasks().get(role, each.roles["target"]["target"])  # unlabelled ones are the target's
            if other := [name for name in task.inputs if name in form.inputs and form.inputs[name] != task.inputs[name]]:
                raise Problem(
                    f"phase {phase.name}: the teacher reads another form of {other[0]} than the student, so its outputs must "
                    "be precomputed. Set augment=[], and use a method that distils logits or features."
                )


def _check_sizes(phase: Phase, read: Mapping[str, Task]) -> None:
    """Raise for batches with fewer examples than an objective needs."""
    for each in phase.objectives:
        if (smallest := getattr(each.func, "smallest_batch", None)) is None:
            continue
        needed = smallest(**each.keywords)
        for role, task in read.items():
            kind = "unlabelled" if role == UNLABELED else "labelled"
            if (there := min(phase.batch_size, len(task.train))) < needed:
                raise Problem(
                    f"phase {phase.name}: {each.func.__name__} needs batches of {needed} examples, but batches of {task.name} "
                    f"have {there} (batch_size={phase.batch_size}, {len(task.train)} {kind} examples). "
                    "Raise batch_size or shots."
                )


def _check_features(phase: Phase, network: Network, read: Mapping[str, Task]) -> None:
    """Raise for `balance.at=features` if the tasks do not share their features."""
    if len(read) < 2 or phase.balance.keywords.get("at") != "features":
        return
    same = len({(task.train.data, tuple(task.inputs)) for task in read.values()}) == 1
    common = same and phase.common and phase.taught_by is None  # distillation makes a separate batch per task
    if not common or (network.sharing is not None and network.sharing.below):
        which = ", ".join(task.name for task in read.values())
        raise Problem(
            f"balance.at=features: {which} do not share their features. It needs tasks of the same examples "
            "(joint.common=true) and a sharing with common features (sharing=hard or all). Use balance.at=parameters."
        )
