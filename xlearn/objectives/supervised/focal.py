"""Focal loss: smaller weights for easy examples."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.class_weights import ClassWeights, WeightsByRole
from xlearn.objectives.supervised.means import log_probabilities, mean_by_label
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

SMALLEST = 1e-7


class Focal(Objective, nn.Module):
    """`-sum_i w_{y_i} (1 - p_{y_i})^gamma log p_{y_i} / sum_i w_{y_i}` per role, over the examples of the batch with a label
    for it (Lin et al., ICCV 2017, eq. 5, of a softmax; the paper has one sigmoid per class, and divides by the number of
    anchors with an object).

    The paper's alpha is `class_weights`. The mean is over the weights w; the modulation `(1 - p)^gamma` is no weight, and is
    not in the denominator. Mixed labels q: each class c counts q_c times, in the numerator and in the denominator. gamma 0 is
    cross-entropy. Raises `Problem` for a gamma below 0.
    """

    @classmethod
    def needed(cls, *, class_weights: str = "none", **others: Any) -> Needs:
        return Needs(spaces=(Classes,), class_shares=class_weights != "none")

    def __init__(self, context: PhaseContext, *, gamma: float, class_weights: ClassWeights = "none") -> None:
        super().__init__()
        if not gamma >= 0:
            raise Problem(f"objective.gamma={gamma}: give 0 (cross-entropy) or more.")
        self.gamma = gamma
        self.weights = WeightsByRole(context.class_counts, class_weights)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {
            role: mean_by_label(focused(network(batch), self.gamma), batch.labels, self.weights(role))
            for role, batch in batches.items()
        }


def focused(logits: Tensor, gamma: float) -> Tensor:
    """`-(1 - p_ic)^gamma log p_ic`, `[n, K]` of logits: the loss of each class as the label."""
    log_p = log_probabilities(logits)
    # 1 - p without cancellation; at p = 1 a power below 1 has an infinite slope.
    return -((-torch.expm1(log_p)).clamp_min(SMALLEST) ** gamma) * log_p
