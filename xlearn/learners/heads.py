"""The heads that a network needs: one per label space, including the label spaces of episodes."""

from typing import Any

from xlearn.data.episodes import Kind
from xlearn.data.task import Task
from xlearn.label_spaces import LabelSpace
from xlearn.plan.components import Components


def episode_spaces(learner: Any, kind: Kind | None, task: Task) -> dict[str, LabelSpace]:
    """The label space of the head that learns episodes; empty for a base learner without a head."""
    if kind is None or not learner.reads_head:
        return {}
    space = task.labels.episode(kind.ways)
    return {space.key: space}


def source_spaces(components: Components, tasks: list[Task]) -> tuple[dict[str, LabelSpace], Any]:
    """The label spaces of the heads of the source's network, and its base learner, if any. A phase that reads episodes uses a
    separate head, or none.
    """
    whole = not components.pretrain or any(phase.base_learner is None for phase in components.pretrain)
    spaces, learner = {task.labels.key: task.labels for task in tasks} if whole else {}, None
    for phase in components.pretrain:
        if phase.base_learner is not None:
            learner = phase.base_learner()
            spaces |= episode_spaces(learner, phase.kind, tasks[0])
    return spaces, learner
