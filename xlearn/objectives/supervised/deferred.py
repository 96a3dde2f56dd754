"""Deferred re-weighting (DRW): class weights only in the last part of training."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.supervised.class_weights import WeightsByRole
from xlearn.objectives.supervised.means import log_probabilities, mean_by_label
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Deferred(Objective, nn.Module):
    """Cross-entropy, the mean over the examples of the batch with a label, in the first `after` of the phase's steps, then
    `sum_i w_{y_i} (-log p_{y_i}) / sum_i w_{y_i}`, per role (DRW: Cao et al., NeurIPS 2019, section 3.3, without their margins;
    they change at 0.8 of the epochs).

    w are the weights by the effective number of examples, with `beta`: see `class_weights`. Mixed labels as in `CrossEntropy`.
    The first weighted step is number `round(after * steps)`, counted from 0; `after=1` never weighs. A phase with early
    stopping (`patience`, `stop_below`) may end before. The paper also divides the learning rate by ten at this step; here the
    schedule can do so. Raises `Problem` unless 0 <= after <= 1 and 0 <= beta < 1.
    """

    step: Tensor
    needs = Needs(spaces=(Classes,), class_shares=True)

    def __init__(self, context: PhaseContext, *, after: float = 0.8, beta: float = 0.9999) -> None:
        super().__init__()
        if not 0 <= after <= 1:
            raise Problem(f"objective.after={after}: give a share of the phase's steps in [0, 1], e.g. 0.8.")
        if not 0 <= beta < 1:
            raise Problem(f"objective.beta={beta}: give 0 (no weights) or more, and less than 1, e.g. 0.9999.")
        self.first = round(after * context.steps)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.weights = WeightsByRole(context.class_counts, "effective", beta)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        weighted = bool(self.step >= self.first)
        return {
            role: mean_by_label(-log_probabilities(network(batch)), batch.labels, self.weights(role) if weighted else None)
            for role, batch in batches.items()
        }

    def follow(self, network: Network) -> None:
        # Not in `forward`, which is also called to measure gradients.
        self.step += 1
