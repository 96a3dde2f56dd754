"""Checks of the objectives against what else corrects, replaces or extends them, before any data are loaded."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from xlearn.config.collector import Collector
from xlearn.objectives import is_plain
from xlearn.phases.phase import Phase
from xlearn.plan.components import Components
from xlearn.runtime.fingerprints import described
from xlearn.runtime.needs import declared


def check_objectives(
    components: Components, top: partial[Any] | None, own: Mapping[str, Collection[str]], found: Collector
) -> None:
    """Add a sentence to `found` for each pair of losses that does not combine. `top`: the objective of all phases without one
    of their own; `own`: the names of the phases that have one, by chain.
    """
    if top is not None and not is_plain(top):
        _check_top(components, top, own, found)
    chains = {"pretrain": components.pretrain, "transfer": components.transfer, "baseline": components.baseline}
    for within, phases in chains.items():
        for phase in phases:
            _check_shares(within, phase, found)
            _check_plain(within, phase, found)
    _check_solvers(components, found)
    found.problems[:] = dict.fromkeys(found.problems)


def _check_top(components: Components, top: partial[Any], own: Mapping[str, Collection[str]], found: Collector) -> None:
    """Refuse an objective at the top that changes what a run is compared with, and not the run itself."""
    name, transfer = f"objective={components.names.get('objective')}{_options(top)}", components.transfer_name
    labelled = components.target.options.shots != 0
    learns = [
        phase for phase in components.transfer
        if phase.name in own["transfer"] and phase.needs.labels and "target" in phase.reads and labelled
    ]  # fmt: skip
    wanted = _loss(top)
    for phase in learns:
        (kind, options), place = _loss(phase.objectives[0]), f"transfer.phases.{phase.name}.objective"
        same = "set the same options there, " if kind == wanted[0] else ""
        found.need(
            (kind, options) == wanted,
            f"{name} would change the baseline{' and the teacher' if phase.teachers else ''}, but not phase {phase.name} of "
            f"{transfer}, which has an objective of its own ({place}). Leave it out, {same}or write a transfer that uses it "
            "(docs/adding-a-method.md).",
        )
    used = [each.name in own["transfer"] for each in components.transfer]
    if components.carries or components.teaches:
        used += [each.name in own["pretrain"] for each in components.pretrain]
    found.need(
        bool(learns) or not used or not all(used),
        f"{name} would change the baseline, but no phase of {transfer}, because each has an objective of its own. Leave it "
        "out.",
    )


def _loss(objective: partial[Any]) -> tuple[str, dict[str, Any]]:
    """The address and the options of an objective, but for the roles that it learns from."""
    document = described(objective)
    return document["_target_"], {key: value for key, value in document["arguments"].items() if key != "roles"}


def _options(component: partial[Any]) -> str:
    """The options of the top's objective that make it another than the plain loss, for a message."""
    named = {key: value for key, value in component.keywords.items() if not is_plain(partial(component.func, **{key: value}))}
    plain_by_default = is_plain(partial(component.func))
    return "".join(f" objective.{key}={value}" for key, value in named.items()) if plain_by_default else ""


def _names(components: Sequence[partial[Any]]) -> str:
    return " and ".join(each.func.__name__ for each in components)


def _check_shares(within: str, phase: Phase, found: Collector) -> None:
    """Refuse two corrections for unequal classes, of which each assumes that there is no other."""
    correct = [each for each in phase.objectives if declared(each).class_shares]
    found.need(
        not correct or phase.batches.keeps_shares or not phase.solver.trains,
        f"{within}.phases.{phase.name}: {_names(correct)} corrects for unequal classes, and sampling=balanced draws every "
        "class equally often already: together they correct twice. Use sampling=shuffled, or leave the correction out of the "
        "objective (objective=cross_entropy, class_weights: none).",
    )


def _check_plain(within: str, phase: Phase, found: Collector) -> None:
    """Refuse a penalty that is defined by the plain loss beside another objective."""
    defined = [each for each in phase.objectives[1:] if declared(each).plain_loss]
    if not defined or is_plain(phase.objectives[0]):
        return
    named = f"{_names(phase.objectives[:1])}{_options(phase.objectives[0])}"
    found.need(
        False,
        f"{within}.phases.{phase.name}: {_names(defined)} is computed with the plain loss of the labels, but the phase "
        f"minimises {named}. Use objective=cross_entropy without class weights and label smoothing.",
    )


def _check_solvers(components: Components, found: Collector) -> None:
    """Refuse a solver that corrects a head for the class shares of its training, if its training corrected for them already."""
    earlier = [*components.pretrain]
    for phase in components.transfer:
        for before in earlier if phase.solver.needs.class_shares else ():
            by = [each for each in before.objectives if declared(each).class_shares]
            reason = _names(by) or ("" if before.batches.keeps_shares else "sampling=balanced")
            found.need(
                not reason or not before.solver.trains,
                f"{components.transfer_name} corrects the head from the class shares of the training examples, but in phase "
                f"{before.name} {reason} corrects for them already. Use objective=cross_entropy without class weights, and "
                "sampling=shuffled.",
            )
        earlier.append(phase)
