"""AFN: adaptive feature norm, enlarged step by step in both domains."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Afn(Objective):
    """`weight * (E_s (||f|| - sg(||f||) - delta)^2 + E_t (||f|| - sg(||f||) - delta)^2)` of the features f `[batch, width]`
    below the heads, with sg the stop-gradient (SAFN: Xu et al., ICCV 2019; the sum of both domains' means is TLlib's, the paper
    averages over all examples).

    This is the stepwise variant: each step increases every norm by delta. The value of the loss is always 2 * weight * delta^2;
    only its gradient, -2 delta f / ||f|| per example, is informative. The hard variant (HAFN, not offered) pulls the mean norm
    of each domain to a number R, `(E ||f|| - R)^2`, e.g. 25. Nothing bounds the growth: features must pass a normalisation, as
    in the paper's networks and with `trunk=mlp trunk.normalisation=batch`. In a plain network, norms explode and nothing is
    learned. Features that are all 0 have no direction and do not change. TLlib may add the entropy of the target's predictions;
    not here.

    Raises: `Problem` for a weight below 0, a delta not above 0, and without a source or unlabelled target.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True, below_heads=True)

    def __init__(self, context: PhaseContext, *, weight: float = 0.05, delta: float = 1.0) -> None:
        need_domains(context, "afn")
        if weight < 0:
            raise Problem(f"afn: weight={weight}: give 0 or more, e.g. 0.05.")
        if delta <= 0:
            raise Problem(f"afn: delta={delta}: the growth of norms per step. Give more than 0, e.g. 1.0.")
        self.weight, self.delta = weight, delta

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            return {"afn": self.weight * (stepwise(both.source, self.delta) + stepwise(both.target, self.delta))}


def stepwise(features: Tensor, delta: float) -> Tensor:
    """`mean (||f|| - sg(||f||) - delta)^2` of `[n, width]`."""
    norms = torch.linalg.vector_norm(features, dim=1)
    return (norms - norms.detach() - delta).square().mean()
