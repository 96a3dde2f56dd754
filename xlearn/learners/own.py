"""The run's own network, and the networks of its sources."""

from collections.abc import Mapping

from xlearn.data.leakage import need_same_forms, need_unlearned
from xlearn.data.reads import Roles
from xlearn.data.task import Spec, Task
from xlearn.label_spaces import LabelSpace, joined
from xlearn.learners.carry import choose, one_head
from xlearn.learners.learner import Learner, SourceNetwork
from xlearn.networks.entities import entity_rows
from xlearn.networks.network import Network, load, tensors
from xlearn.phases.phase import rates, reading
from xlearn.plan.components import Components
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared
from xlearn.sharing import COPIES


def own(
    components: Components, roles: Roles, forms: Roles | None = None, alone: bool = False,
    source_networks: tuple[SourceNetwork, ...] = (),
) -> Learner:  # fmt: skip
    """The run's own learner. The tensors to copy are selected here, before any training, so that errors appear early.

    `forms`: the tasks as the teacher's encoders read them, if they read another form. `alone`: the target has a single
    modality, and the network no fusion. `source_networks`: those of the sources, if they are there already.
    """
    sources, target = roles["source"], roles["target"]["target"]
    measuring = components.measuring
    served = components.structure.tasks(sources, target)
    specs = {**target.inputs, **{name: spec for task in served.values() for name, spec in task.inputs.items()}}
    spaces = measuring.spaces(target)
    spaces = joined(spaces, [task.labels for role, task in served.items() if role != "target"])
    # If no weights are copied, only joint learning and students start from pretrained encoders.
    brings = (components.structure.together or components.teaches) and not components.carries
    network = components.network(specs, [*spaces.values()], "target", weights=brings, alone=alone, parts=[measuring.parts])
    components.join(network, served)
    brought = components.pretrained_of("target")
    if not components.carries and not components.teaches:
        return Learner(network, components.transfer, roles, measuring, brought)
    source_networks = source_networks or _source_networks(components, forms or roles, alone)
    if not components.carries:
        student = Learner(network, components.transfer, roles, measuring, brought, source_networks)
        _need_learned(components, student)
        return student
    names = f"{' + '.join(task.name for task in sources.values()) or 'weights'} -> {target.name}"
    first = source_networks[0]
    source = {name: value for name, value in tensors(first.network).items() if name in first.learned}
    # Distillation needs no common weights.
    empty = any({"logits", "features"} & phase.needs.teacher for phase in components.transfer)
    carried = choose(source, network, components.sharing, names, empty, entity_rows(first.network))
    # Encoders that stay random, as with sharing=none, train at the full rate.
    copied = {name.split(".")[1] for name in carried.copied if name.startswith("encoder.")}
    network.encoder_rates = components.rates_of("target", copied & network.encoder.keys())
    found = Learner(network, components.transfer, roles, measuring, brought, source_networks, carried)
    _need_trained(components, found, names, [*sources.values(), target])
    return found


def _source_networks(components: Components, roles: Roles, alone: bool) -> tuple[SourceNetwork, ...]:
    """The sources' networks: one for all sources, or one per source."""
    each = (
        [{name: task} for name, task in roles["source"].items()]
        if components.network_per_source and roles["source"]
        else [roles["source"]]
    )
    source_networks = []
    for sources in each:
        given = {"source": sources, "target": roles["target"]}
        network, learned = _source_network(components, given, alone)
        brought, unusable = components.pretrained_of("source"), _unusable_tests(components, sources)
        source_networks.append(SourceNetwork(network, components.pretrain, given, roles, brought, frozenset(learned), unusable))
        random = [name for name, _ in network.named_parameters() if name not in learned]
        if components.teaches and random:
            raise Problem(
                f"{components.transfer_name}: the teacher's {random[0]} would be random, because "
                "no phase trains it. Use pretrain=supervised, or pretrain=probe for pretrained encoders."
            )
    return tuple(source_networks)


def _unusable_tests(components: Components, sources: Mapping[str, Task]) -> dict[str, str]:
    """Per source, why its test split cannot be used: the checkpoint that the network starts from may have learned from it."""
    found: dict[str, str] = {}
    learned = components.learned_by_start()
    for role, task in sources.items():
        try:
            need_unlearned(learned, task, f"the source {role}")
        except Problem as problem:
            found[role] = str(problem)
    return found


def _source_network(components: Components, roles: Roles, alone: bool) -> tuple[Network, set[str]]:
    """The source's network with its initial weights, and the names of the tensors that will be learned (only these may be
    copied)."""
    target = roles["target"]["target"]
    tasks = list(roles["source"].values())
    # If a phase reads the target's inputs, the encoders of its modalities are learned too.
    tasks += [target] if not tasks or any("target.inputs" in phase.reads for phase in components.pretrain) else []
    specs: dict[str, Spec] = {name: spec for task in tasks for name, spec in task.inputs.items()}
    start, brought = components.start, components.pretrained_of("source")
    if components.pretrain and not start.loads:
        # Leave out modalities that no phase reads: their encoders would stay random, and a teacher would use them.
        read = {name for phase in components.pretrain for task in reading(phase, roles).values() for name in task.inputs}
        wanted = read | (frozenset() if components.teaches else brought)
        specs = {name: spec for name, spec in specs.items() if name in wanted}
    spaces, phases = _source_spaces(components, tasks), components.pretrain
    # Step sizes are those of the last base learner.
    parts = [phase.batches.parts for phase in [each for each in phases if not each.batches.by_role][-1:]]
    network = components.network(specs, [*spaces.values()], "source", weights=True, alone=alone, parts=parts)
    learned = {name for name in tensors(network) if name.startswith("encoder.") and name.split(".")[1] in brought}
    need_same_forms(start.folder, specs)
    given = start(network)
    load(network, given)
    learned |= given.keys()
    for phase in phases:
        trained = rates(phase, network)
        # The running statistics of a normalisation layer are learned with its parameters.
        modules = {name.rpartition(".")[0] for name in trained}
        learned |= trained.keys() | {name for name, _ in network.named_buffers() if name.rpartition(".")[0] in modules}
    return network, learned


def _source_spaces(components: Components, tasks: list[Task]) -> dict[str, LabelSpace]:
    """The label spaces of the heads of the source's network: those of its tasks, then those of episodes."""
    if not components.pretrain:
        return joined({}, [task.labels for task in tasks])
    spaces: dict[str, LabelSpace] = {}
    for phase in sorted(components.pretrain, key=lambda each: not each.batches.by_role):
        spaces = joined(spaces, phase.batches.spaces(tasks))
    return spaces


def _need_learned(components: Components, student: Learner) -> None:
    """Raise `Problem` for a parameter of a student that no phase trains."""
    brought = tuple(f"encoder.{name}." for name in student.pretrained)
    trained = student.trained()
    named = [name for name, _ in student.network.named_parameters()]
    if dead := [name for name in named if name not in trained and not name.startswith(brought)]:
        raise Problem(
            f"{components.transfer_name}: carry=false copies nothing, and no phase trains "
            f"{dead[0]}, so it would stay random. Set transfer.carry=true."
        )


def _need_trained(components: Components, found: Learner, names: str, tasks: list[Task]) -> None:
    """Raise `Problem` for a parameter that would stay random: neither copied, nor trained, nor learned in each episode."""
    assert found.carried is not None
    trained = found.trained() | found.measuring.trains(found.network)
    # Of a table of entities, rows of entities that the source lacks are fresh.
    partly = {name for name, pairs in found.carried.rows.items() if len(pairs) < found.carried.copied[name][0]}
    fresh = {*found.carried.fresh, *partly}
    # Step sizes (`rates.`) that were not learned have a useful initial value: the base learner's rate.
    named = [name for name, _ in found.network.named_parameters() if not name.startswith("rates.")]
    dead = [name for name in named if name in fresh and name not in trained]
    # `sharing=none` is allowed, to measure random features, if a phase trains the network.
    if dead and (declared(components.sharing, COPIES).copied or not components.transfer):
        listed = "; ".join(f"{task.name} {', '.join(task.labels.classes[:12])}" for task in tasks)
        raise Problem(
            f"sharing={components.names.get('sharing')} does not copy {dead[0]}{' and others' * (len(dead) > 1)} from {names}, "
            f"and {components.transfer_name} does not train it, so it would stay random (classes: {listed}). Use a "
            "sharing that copies it (a head is only copied between tasks of the same classes), or a transfer that "
            f"trains it, e.g. finetune. {one_head(tensors(found.source_networks[0].network), dead)}".rstrip()
        )
