"""The tasks of a run by role: loaded, brought into one format, split, and checked for leaks."""

from dataclasses import replace
from typing import NamedTuple

from xlearn.data.formats import formats
from xlearn.data.leakage import lends, need_disjoint
from xlearn.data.prepare import prepare
from xlearn.data.reads import Roles
from xlearn.data.task import Task
from xlearn.label_spaces.checks import need_metric
from xlearn.plan.components import Components
from xlearn.runtime.errors import Problem


class Prepared(NamedTuple):
    """The tasks of a run. `forms`: the same tasks as the teacher's encoders read them, if they read another form."""

    roles: Roles
    forms: Roles | None


def prepared(components: Components) -> Prepared:
    """All tasks that the run reads. Raises `Problem` if a test example would be learned from (a leak)."""
    options, every = components.options, [*components.sources, components.target]
    seed = options.seed
    # With sources, vocabularies and means are not estimated on a target whose examples are all measured.
    unread = ("target",) if components.measuring.measures_all and components.sources else ()
    given = formats(every, options.modalities, components.encoders, seed, unread)
    target = prepare(components.target, given, seed)
    _need_label_space(components, target)
    target = components.measuring.prepared(target)
    sources = {each.name: prepare(each, given, seed) for each in components.sources}
    # A source that no phase reads may still have contributed to the vocabulary.
    if not components.reads_source:
        sources = {name: task for name, task in sources.items() if lends(task)}
    need_disjoint(sources.values(), target, hidden=components.adapts or len(target.train) == 0)
    for name, task in sources.items() if components.structure.together else ():
        # Every task is measured: the other tasks must not contain its test rows either.
        others = [each for other, each in sources.items() if other != name]
        need_disjoint([*others, replace(target, name=f"{target.name} (the target)")], task, f"source {task.name}")
    sources = sources if components.reads_source else {}
    forms: Roles | None = None
    if components.teacher:
        # A teacher with other encoders may read the same examples in another form.
        others = formats(every, options.modalities, components.encoders_of("source"), seed)
        forms = {
            "source": {each.name: prepare(each, others, seed) for each in components.sources if each.name in sources},
            "target": {"target": prepare(components.target, others, seed)},
        }
    return Prepared({"source": sources, "target": {"target": target}}, forms)


def _need_label_space(components: Components, target: Task) -> None:
    """Raise `Problem` if the loader of the target predicts something else than its file names, or what the metric measures."""
    kind = components.label_space
    if not issubclass(type(target.labels), kind):
        raise Problem(
            f"target={target.name} predicts {target.labels.kind}, but its label space is {kind.__name__}. Write `label_space: "
            "NAME` into the file of the task, and its defaults into label_space/NAME.yaml (docs/adding-a-method.md)."
        )
    need_metric(components.options.metric, target.labels, target.name)
