"""The tasks of a run by role: loaded, brought into one format, split, and checked for leaks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from xlearn.data.formats import formats, own_formats, shaped_by_others
from xlearn.data.leakage import lends, need_disjoint
from xlearn.data.modalities import Format
from xlearn.data.prepare import prepare
from xlearn.data.reads import Roles
from xlearn.data.task import Task
from xlearn.data.task_source import TaskSource
from xlearn.label_spaces.checks import need_metric
from xlearn.plan.components import Components
from xlearn.runtime.errors import Problem


class Prepared(NamedTuple):
    """The tasks of a run. `forms`: the same tasks as the teacher's encoders read them, if they read another form. `own`: by
    role of a task, all tasks in the forms learned from that task alone, if these differ (see `Modality.scaling`): networks that
    learn this task only, as the baseline does, read these, so that they do not depend on the other tasks of the run.
    """

    roles: Roles
    forms: Roles | None
    own: Mapping[str, Roles]

    def each(self, change: Callable[[Task], Task]) -> "Prepared":
        """The same with every task changed."""

        def changed(roles: Roles) -> Roles:
            return {group: {name: change(task) for name, task in tasks.items()} for group, tasks in roles.items()}

        own = {role: changed(roles) for role, roles in self.own.items()}
        return Prepared(changed(self.roles), self.forms and changed(self.forms), own)


# The note of a target about modalities whose form depends on the sources.
FROM_SOURCES = "form_depends_on_source"


def prepared(components: Components) -> Prepared:
    """All tasks that the run reads. Raises `Problem` if a test example would be learned from (a leak)."""
    components = bound(components)
    options, every = components.options, [*components.sources, components.target]
    seed, encoders = options.seed, components.encoders
    measured = components.measuring.measures_all and len(components.sources) > 0
    # With sources, vocabularies and means are not estimated on a target whose examples are all measured, or an unseen domain.
    unread = ("target",) if measured or _unseen(components) else ()
    given = formats(every, options.modalities, encoders, seed, unread)
    alone = {} if measured else own_formats(components.target, given, options.modalities, encoders, seed)
    # A run that reads no source does not depend on it either.
    given = given if components.reads_source else {**given, **alone}
    target = prepare(components.target, given, seed)
    _need_label_space(components, target)
    target = components.measuring.prepared(target)
    if shaped := shaped_by_others(components.target, components.sources, given, options.modalities, encoders, seed):
        target = replace(target, notes={FROM_SOURCES: shaped, **target.notes})
    sources = {each.name: prepare(each, given, seed) for each in components.sources}
    # A source that no phase reads may still have contributed to the vocabulary.
    if not components.reads_source:
        sources = {name: task for name, task in sources.items() if lends(task, alone)}
    need_disjoint(sources.values(), target, hidden=components.adapts or len(target.train) == 0)
    for name, task in sources.items() if components.structure.together else ():
        # Every task is measured: the other tasks must not contain its test rows either.
        others = [each for other, each in sources.items() if other != name]
        need_disjoint([*others, replace(target, name=f"{target.name} (the target)")], task, f"source {task.name}")
    sources = sources if components.reads_source else {}
    read = [each for each in components.sources if each.name in sources]
    own = {"target": _in_forms(components, read, {**given, **alone})} if alone and components.reads_source else {}
    for each in read if components.structure.together else ():
        if found := own_formats(each, given, options.modalities, encoders, seed):
            own[each.name] = _in_forms(components, read, {**given, **found})
    forms: Roles | None = None
    if components.teacher:
        # A teacher with other encoders may read the same examples in another form.
        forms = _in_forms(components, read, formats(every, options.modalities, components.encoders_of("source"), seed))
    return Prepared({"source": sources, "target": {"target": target}}, forms, own)


def bound(components: Components) -> Components:
    """The same components, their tasks bound to each other: where sources have rows of the target, or of an earlier source,
    they follow its sides; and the target is not measured on examples that the run's initial weights have learned from.
    """
    measured, learned = components.measuring.measures_all, components.learned_by_start()
    target = replace(components.target, measured=measured, learned=learned)
    sources: list[TaskSource] = []
    for each in components.sources:
        sources.append(replace(each, follows=(target, *sources)))
    return replace(components, sources=tuple(sources), target=target)


def _unseen(components: Components) -> bool:
    """Whether the target is a domain from which nothing is learned: it shows no labels, and no phase reads it."""
    return components.target.options.shots == 0 and len(components.sources) > 0 and not components.reads_target


def _in_forms(components: Components, sources: Sequence[TaskSource], forms: Mapping[str, Format]) -> Roles:
    """The target and these sources in other forms."""
    seed = components.options.seed
    return {
        "source": {each.name: prepare(each, forms, seed) for each in sources},
        "target": {"target": prepare(components.target, forms, seed)},
    }


def target_alone(components: Components, encoders: Mapping[str, partial[Any]]) -> Task:
    """The target with the same splits, in the form in which these encoders read it, learned from the target alone."""
    components = bound(components)
    options = components.options
    given = formats([components.target], options.modalities, encoders, options.seed)
    return components.measuring.prepared(prepare(components.target, given, options.seed))


def _need_label_space(components: Components, target: Task) -> None:
    """Raise `Problem` if the loader of the target predicts something else than its file names, or what the metric measures."""
    kind = components.label_space
    if not issubclass(type(target.labels), kind):
        raise Problem(
            f"target={target.name} predicts {target.labels.kind}, but its label space is {kind.__name__}. Write `label_space: "
            "NAME` into the file of the task, and its defaults into label_space/NAME.yaml (docs/adding-a-method.md)."
        )
    need_metric(components.options.metric, target.labels, target.name)
