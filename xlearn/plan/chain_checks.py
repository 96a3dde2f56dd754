"""Checks of the chains of phases against each other, before any data are loaded."""

from xlearn.balance import Balance
from xlearn.config.collector import Collector
from xlearn.measuring import Planned
from xlearn.plan.components import Components
from xlearn.runtime.needs import NO_LABELS, declared


def check_chains(components: Components, found: Collector) -> None:
    """Add a sentence to `found` for each part of the plan that does not fit the others."""
    _check_source(components, found)
    _check_structure(components, found)
    _check_balance(components, found)
    _check_teachers(components, found)
    for measuring in (components.measuring, components.baseline_measuring):
        measuring.check_plan(
            Planned(
                components.target, components.sources, components.pretrain, components.transfer, components.carries,
                components.structure.together or components.structure.adds, components.names,
            ),
            found,
        )  # fmt: skip
    found.problems[:] = dict.fromkeys(found.problems)


def _check_source(components: Components, found: Collector) -> None:
    names, learns = components.names, components.carries or components.teaches
    # If no weights are copied and no teacher is needed, only phases of the transfer can read the source.
    chains = (*(components.pretrain if learns else ()), *components.transfer)
    readers = [phase for phase in chains if "source" in phase.reads]
    if any(set(phase.reads) != {"source", "target"} or not phase.teachers for phase in readers):
        pretrains = components.pretrain and learns
        reader = f"pretrain={names.get('pretrain')}" if pretrains else components.transfer_name
        found.need(
            bool(components.sources),
            f"{reader} trains on a source, but there is none. Choose one (source=mnist5k), or use "
            "pretrain=none with a pretrained encoder. To adapt without source data, use pretrain=checkpoint with "
            "transfer=shot, tent or adabn.",
        )
    if components.carries and not components.pretrain and not components.start.loads:
        found.need(
            bool(components.pretrained_of("source")),
            f"{components.transfer_name} copies weights, but there are no learned weights: pretrain=none, and "
            "no encoder has published weights to copy. Use pretrain=supervised, encoder.image.weights, or transfer=scratch "
            "(with fixed features, such as efficientnet_features, it trains the head on them).",
        )


def _check_structure(components: Components, found: Collector) -> None:
    together, transfer = components.structure.together, components.transfer_name
    found.need(
        (together and not components.carries) or not declared(components.sharing, NO_LABELS).several_tasks,
        f"sharing={components.names.get('sharing')} is for tasks that are learned together, but {transfer} "
        "copies weights. Use transfer=joint, or a sharing that selects the weights to copy (sharing=all).",
    )
    found.need(
        not (together and not components.carries and components.start.loads),
        f"pretrain={components.names.get('pretrain')} loads weights, but {transfer} copies none. Use "
        "pretrain=none, or a transfer that copies weights, e.g. finetune.",
    )
    found.need(
        not components.structure.adds or not any(phase.reads_sources for phase in components.transfer),
        f"{transfer}: adds gives the target's network private layers, but a phase also reads sources. Leave adds out, or "
        "set reads to views of the target.",
    )


def _check_balance(components: Components, found: Collector) -> None:
    phases = (*components.pretrain, *components.transfer)
    needs = [declared(phase.balance, Balance.needs).several_tasks for phase in (*phases, *components.baseline)]
    balanced, name = any(needs), f"balance={components.names.get('balance')}"
    several = len(components.sources) > 1 or any(
        {"source", "target"} <= {*phase.reads} and not phase.adapts for phase in components.transfer
    )
    found.need(
        several or not balanced,
        f"{name} weighs the losses of several tasks, but no phase reads more than one task. Use "
        "transfer=joint, several sources (source=[a,b]), or balance=equal.",
    )
    sampled = [phase for phase in phases if not phase.batches.every_role]
    found.need(
        not sampled or not balanced,
        f"{name} needs every task in every step, but joint.tasks samples one. Use joint.tasks=all, or balance=equal.",
    )
    adapting = [phase for phase in components.transfer if phase.adapts]
    found.need(
        not adapting or not (components.structure.together or any(not phase.batches.every_role for phase in adapting)),
        f"{components.transfer_name} compares the domains in every step: joint.tasks samples one task, or joins trains one "
        "network for several. Use joint.tasks=all and joins=false.",
    )


def _check_teachers(components: Components, found: Collector) -> None:
    transfer = components.transfer_name
    for name, phases in (("pretrain", components.pretrain), ("baseline", components.baseline)):
        taught = [phase.name for phase in phases if {"source", "sources"} & {*phase.teachers}]
        found.need(not taught, f"{name}.phases.{'.'.join(taught[:1])}.teachers: only phases of the transfer have teachers.")
    found.need(
        not (components.network_per_source and components.carries),
        f"{transfer}: teachers=[sources] trains one network per source, but carry: true copies from a single network. Set "
        "carry: false, or use teachers=[source].",
    )
    found.need(
        not components.teacher or (components.teaches and not components.carries),
        f"teacher.{next(iter(components.teacher), '')} sets the teacher's encoder, but {transfer} "
        f"{'copies weights' if components.teaches else 'has no teacher'}. Use transfer=kd, or teacher/...=same.",
    )
    found.need(
        not components.teaches or bool(components.pretrain) or components.start.loads,
        f"{transfer} learns from a teacher, but no phase trains the teacher. Use pretrain=supervised, probe or checkpoint.",
    )
    found.need(
        all(phase.batches.every_role for phase in components.transfer if phase.teachers),
        f"distillation ({transfer}) needs joint.tasks=all, because a sampled batch may contain no task the teacher can read.",
    )
