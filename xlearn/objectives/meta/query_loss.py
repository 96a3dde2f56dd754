"""The query loss of episodes, after the base learner learned their supports: the objective of MAML and its relatives."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from xlearn.data.task import Batch
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


def task_losses(space: LabelSpace, outputs: Tensor, labels: Tensor) -> Tensor:
    """The loss of each episode, `float [tasks]`, of outputs `[tasks, n, outputs]` and labels `[tasks * n, ...]`."""
    return space.losses(outputs.flatten(0, 1), labels).reshape(outputs.shape[:2]).mean(1)


class QueryLoss(Objective):
    """`mean over episodes of L_query(learner(network, support))` with the phase's base learner: MAML, ANIL and Meta-SGD with
    gradient descent, prototypical networks with the nearest class mean, matching networks with attention. L is the loss of
    the episodes' label space.
    """

    needs = Needs(trains_head=False, episodes=True)

    def __init__(self, context: PhaseContext) -> None:
        if context.learner is None or context.kind is None:
            raise Problem("query_loss needs episodes: set the phase's base_learner, as in pretrain=maml.")
        if context.kind.queries < 1:
            raise Problem("query_loss needs queries: set the phase's episodes.queries, e.g. to 5.")
        self.learner, self.tasks = context.learner, context.kind.tasks

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        support, query = batches["support"], batches["query"]
        outputs = self.learner(network, support, query, self.tasks)
        return {"query": task_losses(query.space, outputs, query.labels).mean()}

    def log(self) -> dict[str, Any]:
        return getattr(self.learner, "log", dict)()
