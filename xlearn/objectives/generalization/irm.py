"""IRM: invariant risk minimisation, with features for which one head is optimal in every environment."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.generalization.environments import annealed, need_annealing, need_environments
from xlearn.runtime.needs import Needs


class Irm(Objective, nn.Module):
    """`weight * mean_e ||d/dw R_e(w z)|_{w=1}||^2` over environments e, each a role: R_e is the mean cross-entropy of logits z
    that are multiplied by the number w (IRMv1: Arjovsky et al., 2019). Added to the cross-entropy, without class weights or
    smoothing: the penalty is of that risk.

    The square is the product of the derivatives on two halves of the batch (alternate examples), which is unbiased (the paper's
    appendix D, and DomainBed) and may be negative. An environment with a single example in a step adds 0. The weight is 1 for
    the first share `anneal` of the steps, as in DomainBed, which also resets Adam then; this does not. The phase sums the
    cross-entropies of the environments; DomainBed takes their mean.

    Raises: `Problem` for a weight below 0, a share outside [0, 1], and for fewer than two environments.
    """

    needs = Needs(batch=2, spaces=(Classes,), plain_loss=True)

    step: Tensor

    def __init__(self, context: PhaseContext, *, weight: float = 100.0, anneal: float = 0.1) -> None:
        super().__init__()
        need_environments(context, "irm")
        need_annealing("irm", weight, anneal)
        self.weight, self.until = weight, anneal * context.steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        squares = []
        for batch in batches.values():
            logits = network(batch)
            with torch.autocast(logits.device.type, enabled=False):
                slopes = scale_slopes(logits.float(), batch.labels)
                squares.append(slopes[::2].mean() * slopes[1::2].mean() if len(slopes) > 1 else 0 * slopes.sum())
        return {"irm": annealed(self.weight, self.step, self.until) * torch.stack(squares).mean()}

    def follow(self, network: Network) -> None:
        self.step += 1


def scale_slopes(logits: Tensor, labels: Tensor) -> Tensor:
    """d/dw CE(w z_i, y_i) at w = 1, `sum_c (p_ic - y_ic) z_ic`, `float [n]`. Labels are classes or distributions."""
    wanted = labels if labels.is_floating_point() else functional.one_hot(labels, logits.shape[1])
    return ((logits.softmax(1) - wanted) * logits).sum(1)
