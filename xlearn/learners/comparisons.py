"""Comparisons: the networks that are trained or measured beside the run's own.

A comparison inherits from `Comparison`. It decides by the facts of the tasks whether it applies. The usual ones are `USUAL`: no
configuration can leave one out. A transfer adds others (`transfer.comparisons`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from xlearn.data.reads import Roles
from xlearn.data.task import Task
from xlearn.data.unlabeled import revealed
from xlearn.learners.budgets import equal
from xlearn.learners.learner import Learner
from xlearn.learners.own import own
from xlearn.plan.comparison import Comparison as Comparison
from xlearn.plan.components import Components
from xlearn.plan.structures import Structure
from xlearn.plan.tasks import Prepared
from xlearn.runtime.errors import Problem
from xlearn.sharing.all import share_all


@dataclass(frozen=True)
class Compared:
    """A network beside the run's own. `place`: where its results stand in `result.json`; `name`: its name there, if it has one.

    `phases`: the name of its phases among those of the run. `tag`: added to the lines of its phases in `metrics.jsonl`.
    `role`: the task that it is measured on; `modality`: the only one that it reads (empty: all).
    """

    place: tuple[str, ...]
    learner: Learner
    phases: str
    name: str = ""
    tag: dict[str, str] = field(default_factory=dict)
    role: str = "target"
    modality: str = ""


@dataclass(frozen=True)
class Plan:
    """What comparisons are made from: the components of the run, its tasks, its own learner, and what was compared before.
    `own_forms`: by role, all tasks in the forms learned from that task alone, if these differ.
    """

    components: Components
    roles: Roles
    own: Learner
    own_forms: Mapping[str, Roles] = field(default_factory=dict)
    before: tuple[Compared, ...] = ()
    # The target, in the form in which other encoders read it, learned from the target alone.
    target_alone: Callable[[Mapping[str, partial[Any]]], Task] | None = None

    def by_itself(self, role: str) -> Roles:
        """The tasks as a network reads them that learns only the task of this role."""
        return self.own_forms.get(role, self.roles)

    def scratch(self, roles: Roles, alone: bool = False, role: str = "target") -> Learner:
        """A network trained from scratch on the target of `roles` only, by the phases of the baseline, for as many steps as the
        run's transfer reads the labels of `role` (see `xlearn.learners.budgets`).
        """
        components, target = self.components, roles["target"]["target"]
        measuring = components.baseline_measuring
        spaces = [*measuring.spaces(target).values()]
        network = components.network(target.inputs, spaces, "target", weights=False, alone=alone, parts=[measuring.parts])
        # Where all examples of the target are measured, none is left to train on.
        phases = () if measuring.measures_all else equal(components.baseline, components.transfer, self.roles, role)
        return Learner(network, phases, roles, measuring, components.pretrained_of("target"))

    def source_only(self) -> Learner:
        """The source's network, applied unchanged to the target. Raises `Problem` if its head has other classes."""
        names = {**self.components.names, "transfer": "source_only", "sharing": "all"}
        bare = replace(
            self.components, names=names, transfer=(), teacher={}, sharing=partial(share_all), carries=True,
            structure=Structure(),
        )  # fmt: skip
        # The run's own source network is this one, unless it is a teacher with other encoders or parameters.
        same = self.components.carries and not self.components.teaches and not self.components.teacher
        return own(bare, self.roles, source_networks=self.own.source_networks if same else ())


class Baseline(Comparison):
    """The network that a run is compared with: the target from scratch, or, for a target without labels, *source only*."""

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        if plan.components.measuring.has_labels(plan.roles["target"]["target"]):
            name = str(plan.components.names.get("transfer@baseline", "scratch"))
            yield Compared(("baseline",), plan.scratch(plan.by_itself("target")), "baseline", name)
        else:
            yield Compared(("baseline",), plan.source_only(), "baseline", "source_only")


class EachModality(Comparison):
    """Unimodal networks, one per modality of a multimodal target. Each runs the phases of the run with the sources that have
    the modality. It is trained from scratch if the phases need pairs of modalities, if no source has the modality, or if the
    sharing needs several modalities.
    """

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        components, roles = plan.components, plan.roles
        target = roles["target"]["target"]
        phases = (*components.pretrain, *components.transfer)
        pairs = any(phase.modalities is not None or phase.needs.pairs for phase in phases)
        copies = components.carries and not (components.teaches or components.structure.together or pairs)
        for name in sorted(target.inputs) if len(target.inputs) > 1 else ():
            only = _only(name, roles)
            starts = bool(only["source"] or (not roles["source"] and name in components.pretrained_of("source")))
            made = _possible(partial(own, components, only, alone=True)) if copies and starts else None
            made = made or _possible(partial(plan.scratch, _only(name, plan.by_itself("target")), alone=True))
            if made is not None:  # keep=best_source may have no source with this modality
                yield Compared(("alone", name), made, name, tag={"alone": name}, modality=name)


class SourceOnly(Comparison):
    """The lower bound of a run that adapts, or whose target has no labels: the source's network applied unchanged, if it has
    the target's classes.
    """

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        if not _bounded(plan):
            return
        [baseline] = [each for each in plan.before if each.place == ("baseline",)]
        labelled = plan.components.measuring.has_labels(plan.roles["target"]["target"])
        made = _possible(plan.source_only) if labelled else baseline.learner
        if made is not None:
            yield Compared(("bounds", "source_only"), made, "bound source_only", tag={"bound": "source_only"})


class AllLabels(Comparison):
    """The upper bound of such a run: the target from scratch on the labels of all training examples, for as many steps as
    the run's transfer reads the target.
    """

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        if _bounded(plan) and plan.roles["target"]["target"].measurable:
            target = revealed(plan.by_itself("target")["target"]["target"])
            made = plan.scratch({"source": {}, "target": {"target": target}})
            yield Compared(("bounds", "target_only"), made, "bound target_only", tag={"bound": "target_only"})


class EachTask(Comparison):
    """Single-task networks, one per source, for tasks that are learned together; the target's is the baseline."""

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        sources = plan.roles["source"] if plan.components.structure.together else {}
        for role in sources:
            task = plan.by_itself(role)["source"][role]
            # The task is also its own source, so that keep=best_source selects by its validation split.
            made = plan.scratch({"source": {role: task}, "target": {"target": task}}, role=role)
            yield Compared(("tasks", role, "single"), made, f"single {role}", "single task", {"single": role}, role)


class FromScratch(Comparison):
    """The target from scratch with other encoders (`encoder`, by modality): the run's labels, splits, seed, fusion, trunk and
    optimizer, and as many steps as the baseline. The form of the inputs (vocabulary, size of images) is learned from the target
    alone. Its results are `comparisons.<name>`. None for a target without labels, and for episodes.
    """

    def __init__(self, *, name: str, encoder: dict[str, Any]) -> None:
        self.name, self.encoders = name, encoder

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        components, target = plan.components, plan.roles["target"]["target"]
        if components.measuring.measures_all or not components.measuring.has_labels(target) or plan.target_alone is None:
            return
        if lacking := sorted(target.inputs.keys() - self.encoders.keys()):
            raise Problem(
                f"comparison={self.name} has no encoder for {lacking[0]}. Choose one: +encoder/{lacking[0]}@comparison."
                f"{self.name}.encoder.{lacking[0]}=NAME."
            )
        form = plan.target_alone(self.encoders)
        changed = replace(plan, components=replace(components, encoders=self.encoders, teacher={}))
        made = changed.scratch({"source": {}, "target": {"target": form}})
        yield Compared((COMPARISONS, self.name), made, f"comparison {self.name}", self.name)


# Where the results of networks from scratch with other encoders stand in `result.json`.
COMPARISONS = "comparisons"
USUAL: tuple[Comparison, ...] = (Baseline(), EachModality(), SourceOnly(), AllLabels(), EachTask())


def _only(modality: str, roles: Roles) -> Roles:
    """The tasks that have the modality, without all others."""
    return {
        group: {role: task.only(modality) for role, task in tasks.items() if modality in task.inputs}
        for group, tasks in roles.items()
    }


def compared(
    components: Components,
    tasks: Prepared,
    run: Learner,
    target_alone: Callable[[Mapping[str, partial[Any]]], Task] | None = None,
) -> tuple[Compared, ...]:
    """All networks that are compared with the run's own: the usual ones, and those that the transfer or the user adds."""
    found: tuple[Compared, ...] = ()
    for comparison in (*USUAL, *components.comparisons):
        found = (*found, *comparison(Plan(components, tasks.roles, run, tasks.own, found, target_alone)))
    return found


def _bounded(plan: Plan) -> bool:
    """Whether the run needs bounds: it adapts, or its target has no labels."""
    target = plan.roles["target"]["target"]
    labelled = plan.components.measuring.has_labels(target)
    return (plan.components.adapts or not labelled) and not plan.components.structure.together


def _possible(make: Any) -> Learner | None:
    """The learner, if it can be made and trained: the run was checked before, only the comparison may be impossible."""
    try:
        made: Learner = make()
        made.check()
    except Problem:
        return None
    return made
