"""The learners of a run: its own, the baseline, the bounds, and the learners of a single modality or task."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from xlearn.data.leakage import need_same_forms, need_same_splits
from xlearn.data.task import Spec, Task
from xlearn.data.unlabeled import revealed
from xlearn.learners.carry import choose
from xlearn.learners.heads import episode_spaces, source_spaces
from xlearn.learners.learner import Learner, SourceNetwork
from xlearn.networks.network import Network, load, tensors
from xlearn.phases.phase import Roles, lessons, needs_pairs, rates, reading
from xlearn.plan.components import Components
from xlearn.runtime.errors import Problem
from xlearn.sharing._none import none
from xlearn.sharing.all import share_all


def own(components: Components, roles: Roles, forms: Roles | None = None, alone: bool = False) -> Learner:
    """The run's own learner. The tensors to copy are selected here, before any training, so that errors appear early.

    `forms`: the tasks as the teacher's encoders read them, if they read another form. `alone`: the target has a single
    modality, and the network no fusion.
    """
    sources, target = roles["source"], roles["target"]["target"]
    specs, spaces = dict(target.inputs), {target.labels.key: target.labels}
    for task in sources.values() if components.joins else ():
        specs |= task.inputs
        spaces |= {task.labels.key: task.labels}
    # If no weights are copied, only joint learning and students start from pretrained encoders.
    brings = (components.joins or components.teaches) and not components.carries
    learner = components.base_learner() if components.base_learner is not None else None
    if learner is not None:
        spaces = episode_spaces(learner, components.kind, target)
    network = components.network(specs, list(spaces.values()), "target", weights=brings, alone=alone, base_learner=learner)
    if components.joins:
        components.join(network, {**sources, "target": target})
    elif components.adds is not None:
        components.join(network, {"target": target})
    if not components.carries and not components.teaches:
        return Learner(network, components.transfer, roles)
    source_networks, learned = _source_networks(components, forms or roles, alone)
    if not components.carries:
        student = Learner(network, components.transfer, roles, source_networks)
        brought = tuple(f"encoder.{name}." for name in components.pretrained_of("target"))
        trained = student.trained()
        if dead := [name for name, _ in network.named_parameters() if name not in trained and not name.startswith(brought)]:
            raise Problem(
                f"transfer={components.config['choices'].get('transfer')}: carry=false copies nothing, and no phase trains "
                f"{dead[0]}, so it would stay random. Set transfer.carry=true."
            )
        return student
    names = f"{' + '.join(task.name for task in sources.values()) or 'weights'} -> {target.name}"
    source = {name: value for name, value in tensors(source_networks[0].network).items() if name in learned}
    # Distillation needs no common weights.
    carried = choose(source, network, components.sharing, names, empty=any(lessons(phase) for phase in components.transfer))
    found = Learner(network, components.transfer, roles, source_networks, carried)
    trains = getattr(learner, "trains", lambda _: False)
    moved = {name for name, _ in network.named_parameters() if trains(name)}
    _need_trained(components, found, names, [*sources.values(), target], moved)
    return found


def _source_networks(components: Components, roles: Roles, alone: bool) -> tuple[tuple[SourceNetwork, ...], set[str]]:
    """The sources' networks (one for all sources, or one per source), and the names of the last one's learned tensors."""
    each = (
        [{name: task} for name, task in roles["source"].items()]
        if components.network_per_source and roles["source"]
        else [roles["source"]]
    )
    source_networks, learned = [], set()
    for sources in each:
        given = {"source": sources, "target": roles["target"]}
        network, learned = _teacher(components, given, alone)
        brought, unusable = components.pretrained_of("source"), _unusable_tests(components, sources)
        source_networks.append(SourceNetwork(network, components.pretrain, given, roles, brought, frozenset(learned), unusable))
        random = [name for name, _ in network.named_parameters() if name not in learned]
        if components.teaches and random:
            raise Problem(
                f"transfer={components.config['choices'].get('transfer')}: the teacher's {random[0]} would be random, because "
                "no phase trains it. Use pretrain=supervised, or pretrain=probe for pretrained encoders."
            )
    return tuple(source_networks), learned


def _unusable_tests(components: Components, sources: Mapping[str, Task]) -> dict[str, str]:
    """Per source, why its test split cannot be used: the checkpoint that the network starts from may have learned from it."""
    found: dict[str, str] = {}
    path = None if components.start is None else components.start.keywords.get("path")
    for role, task in sources.items():
        try:
            need_same_splits(path, task, f"the source {role}")
        except Problem as problem:
            found[role] = str(problem)
    return found


def scratch(components: Components, roles: Roles, alone: bool = False) -> Learner:
    """The baseline's learner: trained from scratch on the target only."""
    target = roles["target"]["target"]
    if components.baseline_learner is not None:
        learner = components.baseline_learner()
        spaces = [*episode_spaces(learner, components.kind, target).values()]
        return Learner(components.network(target.inputs, spaces, "target", weights=False, base_learner=learner), (), roles)
    return Learner(
        components.network(target.inputs, [target.labels], "target", weights=False, alone=alone), components.baseline, roles
    )


def baseline(components: Components, roles: Roles) -> Learner:
    """The learner a run is compared with: the target from scratch, or, for a target without labels, *source only*."""
    labelled = components.episodic or len(roles["target"]["target"].train)
    return scratch(components, roles) if labelled else source_only(components, roles)


def source_only(components: Components, roles: Roles) -> Learner:
    """The source's network applied unchanged to the target. Raises `Problem` if its head has other classes than the target."""
    transfer = {"carry": True, "joins": False, "adds": None, "phases": {}, "episodes": False}
    choices = {**components.config["choices"], "transfer": "source_only", "sharing": "all"}
    bare = replace(
        components, transfer=(), adds=None, teacher={}, sharing=partial(share_all),
        config={**components.config, "transfer": transfer, "choices": choices},
    )  # fmt: skip
    return own(bare, roles)


def bounds(components: Components, roles: Roles, compared: Learner) -> dict[str, Learner]:
    """The bounds of a run that adapts or has a target without labels; empty for other runs.

    `source_only`: the source's network applied unchanged, if it has the target's classes. `target_only`: the target from
    scratch on the labels of all training examples (hidden ones too), with the baseline's budget. `compared`: the run's
    baseline, which is `source_only` for a target without labels.
    """
    target = roles["target"]["target"]
    if not (components.adapts or len(target.train) == 0) or components.joins or components.episodic:
        return {}
    found = {}
    try:
        found["source_only"] = source_only(components, roles) if len(target.train) else compared
        found["source_only"].check()
    except Problem:
        found = {}
    found["target_only"] = scratch(components, {"source": {}, "target": {"target": revealed(target)}})
    return found


def each_task(components: Components, roles: Roles) -> dict[str, Learner]:
    """Single-task learners, one per source, for tasks that are learned together; the target's is the baseline."""
    sources = roles["source"] if components.joins else {}
    # The task is also its own source, so that keep=best_source selects by its validation split.
    return {role: scratch(components, {"source": {role: task}, "target": {"target": task}}) for role, task in sources.items()}


def each_modality(components: Components, roles: Roles) -> dict[str, Learner]:
    """Unimodal learners, one per modality of a multimodal target; empty for a target of one modality. Each runs the phases of
    the run with the sources that have the modality. It is trained from scratch if the phases need pairs of modalities, if no
    source has the modality, or if the sharing needs several modalities.
    """
    target = roles["target"]["target"]
    if len(target.inputs) == 1 or components.episodic:
        return {}
    found = {}
    pairs = (
        components.teaches
        or components.joins
        or any(phase.modalities is not None or needs_pairs(phase) for phase in (*components.pretrain, *components.transfer))
    )
    for name in sorted(target.inputs):
        sources = {role: task.only(name) for role, task in roles["source"].items() if name in task.inputs}
        only: Roles = {"source": sources, "target": {"target": target.only(name)}}
        carries = (
            components.carries
            and not pairs
            and bool(sources or (not roles["source"] and name in components.pretrained_of("source")))
        )
        made = _transferring_if_possible(components, only) if carries else None
        made = made or scratch(components, only, alone=True)
        if _possible(made):  # keep=best_source may have no source with this modality
            found[name] = made
    return found


def _transferring_if_possible(components: Components, roles: Roles) -> Learner | None:
    try:
        made = own(components, roles, alone=True)
    except Problem:  # the multimodal run was checked before: only the unimodal one is impossible
        return None
    return made if _possible(made) else None


def _possible(made: Learner) -> bool:
    try:
        made.check()
    except Problem:
        return False
    return True


def _teacher(components: Components, roles: Roles, alone: bool) -> tuple[Network, set[str]]:
    """The source's network with its initial weights, and the names of the tensors that will be learned (only these may be
    copied)."""
    target = roles["target"]["target"]
    tasks = list(roles["source"].values())
    # If a phase reads the target's inputs, the encoders of its modalities are learned too.
    tasks += [target] if not tasks or any(phase.reads == "inputs" for phase in components.pretrain) else []
    specs: dict[str, Spec] = {name: spec for task in tasks for name, spec in task.inputs.items()}
    if components.pretrain and components.start is None:
        # Leave out modalities that no phase reads: their encoders would stay random, and a teacher would use them.
        read = {name for phase in components.pretrain for task in reading(phase, roles).values() for name in task.inputs}
        brought = frozenset() if components.teaches else components.pretrained_of("source")
        specs = {name: spec for name, spec in specs.items() if name in read | brought}
    spaces, learner = source_spaces(components, tasks)
    teacher = components.network(specs, list(spaces.values()), "source", weights=True, alone=alone, base_learner=learner)
    brought = components.pretrained_of("source")
    learned = {name for name in tensors(teacher) if name.startswith("encoder.") and name.split(".")[1] in brought}
    if components.start is not None:
        need_same_splits(components.start.keywords.get("path"), target)
        need_same_forms(components.start.keywords.get("path"), specs)
        given = components.start(teacher)
        load(teacher, given)
        learned |= given.keys()
    for phase in components.pretrain:
        trained = rates(phase, teacher)
        # The running statistics of a normalisation layer are learned with its parameters.
        modules = {name.rpartition(".")[0] for name in trained}
        learned |= trained.keys() | {name for name, _ in teacher.named_buffers() if name.rpartition(".")[0] in modules}
    return teacher, learned


def _need_trained(components: Components, found: Learner, names: str, tasks: list[Task], moved: set[str]) -> None:
    """Raise `Problem` for a parameter that would stay random: neither copied, nor trained, nor `moved` in each episode."""
    assert found.carried is not None
    trained = found.trained() | moved
    fresh = found.carried.fresh
    # Step sizes (`rates.`) that were not learned have a useful initial value: the base learner's rate.
    named = [name for name, _ in found.network.named_parameters() if not name.startswith("rates.")]
    dead = [name for name in named if name in fresh and name not in trained]
    # `sharing=none` is allowed, to measure random features, if a phase trains the network.
    if dead and (components.sharing.func is not none or not components.transfer):
        choices = components.config["choices"]
        listed = "; ".join(f"{task.name} {', '.join(task.labels.classes[:12])}" for task in tasks)
        raise Problem(
            f"sharing={choices.get('sharing')} does not copy {dead[0]}{' and others' * (len(dead) > 1)} from {names}, and "
            f"transfer={choices.get('transfer')} does not train it, so it would stay random (classes: {listed}). Use a "
            "sharing that copies it (a head is only copied between tasks of the same classes), or a transfer that "
            "trains it, e.g. finetune."
        )
