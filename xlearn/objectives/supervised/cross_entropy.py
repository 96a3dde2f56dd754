"""Cross-entropy on every task the phase reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.class_weights import ClassWeights, class_weights
from xlearn.runtime.errors import Problem, nearest


class CrossEntropy(Objective, nn.Module):
    """`sum_i w_{y_i} (-log p_{y_i}) / sum_i w_{y_i}` per role; soft labels: `-sum_c w_c q_c log p_c`, mean over i. Of a task
    that predicts no classes: the loss of its label space (see `xlearn.label_spaces`).

    `label_smoothing` s replaces the label by `(1 - s) q + s / K`. `class_weights`: see the function. `roles`: restricts the
    labelled roles, e.g. `[target]` in a phase that reads others for a penalty; null: all. Raises `Problem` unless 0 <= s < 1,
    for a role that the phase does not read, and for `label_smoothing` or `class_weights` without classes.
    """

    by_default = True

    @classmethod
    def labelled(cls, roles: Sequence[str], /, **arguments: Any) -> list[str]:
        return [role for role in roles if role in (arguments.get("roles") or roles)]

    def __init__(
        self,
        context: PhaseContext,
        *,
        class_weights: ClassWeights = "none",
        label_smoothing: float = 0.0,
        roles: list[str] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise Problem(f"objective.label_smoothing={label_smoothing}: give a share in [0, 1).")
        for role in roles or ():
            if role not in context.class_counts:
                raise Problem(f"objective.roles: the phase reads no {role!r}. {nearest(role, context.class_counts)}")
        self.roles = None if roles is None else frozenset(roles)
        self.label_smoothing = label_smoothing
        self.weighted = class_weights != "none"
        self.plain = not (self.weighted or label_smoothing)
        for task in () if self.plain else context.tasks.values():
            need_classes(task.labels, "objective.class_weights or label_smoothing", "Leave them out.")
        if self.weighted:
            _register(self, context, class_weights)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            if self.roles is not None and role not in self.roles:
                continue
            if self.plain:
                losses[role] = batch.space.loss(network(batch), batch.labels)
                continue
            weight = self.get_buffer(f"weight_{role}") if self.weighted else None
            losses[role] = functional.cross_entropy(
                network(batch), batch.labels, weight=weight, label_smoothing=self.label_smoothing
            )
        return losses


def _register(module: nn.Module, context: PhaseContext, kind: ClassWeights) -> None:
    for role, counts in context.class_counts.items():
        module.register_buffer(f"weight_{role}", class_weights(kind, counts))
