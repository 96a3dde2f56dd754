"""Cross-entropy on every task the phase reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import need_classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.class_weights import ClassWeights, WeightsByRole
from xlearn.objectives.supervised.means import log_probabilities, mean_by_example, mean_by_label
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.needs import Needs


class CrossEntropy(Objective, nn.Module):
    """`sum_i w_{y_i} l_{i,y_i} / sum_i w_{y_i}` per role, over the n examples of the batch with a label for it, with

        l_ic = -(1 - s) log p_ic - s/K sum_k log p_ik:

    the weight of an example multiplies its whole smoothed loss, and the mean is over the weights of the batch (without weights:
    over n). s is `label_smoothing` (Szegedy et al., CVPR 2016, section 7), K the number of classes, w the class weights by the
    role's training examples (`class_weights`: see the function). torch's built-in form multiplies the smoothing term of class k
    by w_k, so that with rare classes the weights of other classes outweigh the label; for s = 0 it is the same.

    Mixed labels q (mixup): `sum_i sum_c q_ic w_c l_ic / sum_i sum_c q_ic w_c`, as in mixup's own code, which mixes the losses
    of both labels. Of a task that predicts no classes: the loss of its label space (see `xlearn.label_spaces`).

    `roles`: restricts the labelled roles, e.g. `[target]` in a phase that reads others for a penalty; null: all. Raises
    `Problem` unless 0 <= s < 1, for roles that the phase does not read, for no role, and for `label_smoothing` or
    `class_weights` without classes.
    """

    @classmethod
    def needed(cls, *, class_weights: str = "none", **others: Any) -> Needs:
        return Needs(class_shares=class_weights != "none")

    @classmethod
    def plain(cls, *, class_weights: str = "none", label_smoothing: float = 0.0, **others: Any) -> bool:
        return class_weights == "none" and label_smoothing == 0

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
        if roles == []:
            raise Problem("objective.roles=[]: name at least one role, or null for all.")
        for role in roles or ():
            if role not in context.class_counts:
                raise Problem(f"objective.roles: the phase reads no {role!r}. {nearest(role, context.class_counts)}")
        self.roles = None if roles is None else frozenset(roles)
        self.label_smoothing = label_smoothing
        self.usual = self.plain(class_weights=class_weights, label_smoothing=label_smoothing)
        for role, task in context.tasks.items():
            if not self.usual and (self.roles is None or role in self.roles):
                need_classes(task.labels, "objective.class_weights or label_smoothing", "Leave them out.")
        self.weights = WeightsByRole({} if self.usual else context.class_counts, class_weights)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            if self.roles is not None and role not in self.roles:
                continue
            logits = network(batch)
            if self.usual:
                losses[role] = batch.space.loss(logits, batch.labels)
            else:
                losses[role] = smoothed(logits, batch.labels, self.label_smoothing, self.weights(role))
        return losses


def smoothed(logits: Tensor, labels: Tensor, share: float, weights: Tensor | None = None) -> Tensor:
    """The weighted mean of `l_ic = -(1 - s) log p_ic - s/K sum_k log p_ik` over examples and their labels (see
    `mean_by_label`), of logits `[n, K]` with a share s of label smoothing.
    """
    log_p = log_probabilities(logits)
    loss = mean_by_label(-log_p, labels, weights)
    if not share:
        return loss
    # As torch adds both terms, so that without weights the numbers are the same to the last bit.
    return (1 - share) * loss + share / log_p.shape[1] * mean_by_example(-log_p.sum(1), labels, weights)
