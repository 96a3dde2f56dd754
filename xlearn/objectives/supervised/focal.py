"""Focal loss: smaller weights for easy examples."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.class_weights import ClassWeights, class_weights
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

SMALLEST = 1e-7


class Focal(Objective, nn.Module):
    """`-sum_i w_{y_i} (1 - p_{y_i})^gamma log p_{y_i} / sum_i w_{y_i}` per role (Lin et al., ICCV 2017, eq. 4 and 5).

    The paper's alpha is `class_weights`. Soft labels q: `sum_c q_c` over the same expression. gamma 0 is cross-entropy.
    Raises `Problem` for a gamma below 0.
    """

    needs = Needs(spaces=(Classes,))

    def __init__(self, context: PhaseContext, *, gamma: float, class_weights: ClassWeights = "none") -> None:
        super().__init__()
        if not gamma >= 0:
            raise Problem(f"objective.gamma={gamma}: give 0 (cross-entropy) or more.")
        self.gamma = gamma
        for role, counts in context.class_counts.items():
            self.register_buffer(f"weight_{role}", _weights(class_weights, counts))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            log_p = functional.log_softmax(network(batch), dim=1)
            q = batch.labels
            if not q.is_floating_point():
                q = functional.one_hot(q, log_p.shape[1]).to(log_p.dtype)
            weighted = q * self.get_buffer(f"weight_{role}")
            # 1 - p without cancellation; at p = 1 a power below 1 has an infinite slope.
            modulation = (-torch.expm1(log_p)).clamp_min(SMALLEST) ** self.gamma
            terms = weighted * modulation * log_p
            losses[role] = -terms.sum() / weighted.sum().clamp_min(1e-12)
        return losses


def _weights(kind: ClassWeights, counts: Tensor) -> Tensor:
    weights = class_weights(kind, counts)
    return torch.ones(len(counts)) if weights is None else weights
