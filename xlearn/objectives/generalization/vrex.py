"""V-REx: risk extrapolation by penalising the variance of the risks of the environments."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.generalization.environments import AnnealedPenalty, risks
from xlearn.runtime.needs import Needs


class Vrex(AnnealedPenalty):
    """`weight * 1/E sum_e (R_e - mean R)^2` over the E environments of a step, each a role, with their mean cross-entropies R_e
    (V-REx: Krueger et al., ICML 2021). Added to the cross-entropy, without class weights or smoothing: the penalty is of that
    risk.

    The variance has the divisor E, not E - 1, as in DomainBed. The phase sums the R_e, as the paper; DomainBed takes their
    mean. The weight is 1 for the first share `anneal` of the steps; then the optimizer's state starts anew (see
    `AnnealedPenalty`), as in DomainBed. A step with a single environment (joint.tasks other than `all`) adds 0.

    Raises `Problem` for a weight below 0, a share outside [0, 1], and for fewer than two environments.
    """

    needs = Needs(plain_loss=True)

    def __init__(self, context: PhaseContext, *, weight: float = 10.0, anneal: float = 0.1) -> None:
        super().__init__(context, "vrex", weight, anneal)

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        found = torch.stack([*risks(network, batches).values()])
        return {"vrex": self.annealed() * found.var(correction=0)}
