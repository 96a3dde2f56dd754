"""IRM: invariant risk minimisation, with features for which one head is optimal in every environment."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.generalization.environments import AnnealedPenalty
from xlearn.runtime.needs import Needs


class Irm(AnnealedPenalty):
    """`weight * mean_e ||d/dw R_e(w z)|_{w=1}||^2` over environments e, each a role: R_e is the mean cross-entropy of logits z
    that are multiplied by the number w (IRMv1: Arjovsky et al., 2019). Added to the cross-entropy, without class weights or
    smoothing: the penalty is of that risk.

    The square is the product of the derivatives on two halves of the batch (alternate examples), which is unbiased (the paper's
    appendix D, and DomainBed) and may be negative. An environment with a single example in a step adds 0. The weight is 1 for
    the first share `anneal` of the steps; then the optimizer's state starts anew (see `AnnealedPenalty`), as in DomainBed. The
    phase sums the cross-entropies of the environments; DomainBed takes their mean.

    Raises: `Problem` for a weight below 0, a share outside [0, 1], and for fewer than two environments.
    """

    needs = Needs(batch=2, spaces=(Classes,), plain_loss=True)

    def __init__(self, context: PhaseContext, *, weight: float = 100.0, anneal: float = 0.1) -> None:
        super().__init__(context, "irm", weight, anneal)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        squares = []
        for batch in batches.values():
            logits = network(batch)
            with torch.autocast(logits.device.type, enabled=False):
                slopes = scale_slopes(logits.float(), batch.labels)
                squares.append(slopes[::2].mean() * slopes[1::2].mean() if len(slopes) > 1 else 0 * slopes.sum())
        return {"irm": self.annealed() * torch.stack(squares).mean()}


def scale_slopes(logits: Tensor, labels: Tensor) -> Tensor:
    """d/dw CE(w z_i, y_i) at w = 1, `sum_c (p_ic - y_ic) z_ic`, `float [n]`. Labels are classes or distributions."""
    wanted = labels if labels.is_floating_point() else functional.one_hot(labels, logits.shape[1])
    return ((logits.softmax(1) - wanted) * logits).sum(1)
