"""V-REx: risk extrapolation by penalising the variance of the risks of the environments."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.generalization.environments import annealed, need_annealing, need_environments, risks
from xlearn.runtime.needs import Needs


class Vrex(Objective, nn.Module):
    """`weight * 1/E sum_e (R_e - mean R)^2` over the E environments of a step, each a role, with their mean cross-entropies R_e
    (V-REx: Krueger et al., ICML 2021). Added to the cross-entropy, without class weights or smoothing: the penalty is of that
    risk.

    The variance has the divisor E, not E - 1, as in DomainBed. The phase sums the R_e, as the paper; DomainBed takes their
    mean. The weight is 1 for the first share `anneal` of the steps, as in DomainBed, which also resets Adam then; this does
    not. A step with a single environment (joint.tasks other than `all`) adds 0.

    Raises `Problem` for a weight below 0, a share outside [0, 1], and for fewer than two environments.
    """

    needs = Needs(plain_loss=True)

    step: Tensor

    def __init__(self, context: PhaseContext, *, weight: float = 10.0, anneal: float = 0.1) -> None:
        super().__init__()
        need_environments(context, "vrex")
        need_annealing("vrex", weight, anneal)
        self.weight, self.until = weight, anneal * context.steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        found = torch.stack([*risks(network, batches).values()])
        return {"vrex": annealed(self.weight, self.step, self.until) * found.var(correction=0)}

    def follow(self, network: Network) -> None:
        self.step += 1
