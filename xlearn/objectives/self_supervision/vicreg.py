"""VICReg: invariance between views, with variance and covariance regularisation."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.projector import pairs_of_views, projector
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem

# Added under the root, because its slope is infinite at 0.
SMALLEST = 1e-4


class VicReg(SelfSupervised):
    """`invariance * s(Z, Z') + variance * [v(Z) + v(Z')] / 2 + covariance * [c(Z) + c(Z')]`, Z and Z' `[n, width]` the
    projected features of two views (Bardes et al., ICLR 2022, eq. 1-6):

        s = mean over examples and numbers of (Z - Z')^2;
        v(Z) = mean_j max(0, 1 - sqrt(Var(Z_j) + 1e-4));
        c(Z) = 1/width sum_{i != j} Cov(Z)_ij^2; variance and covariance over the batch with the divisor n - 1.

    25, 25 and 1 are the paper's weights. The paper writes v(Z) + v(Z') and s as a sum over dimensions; the authors' code, for
    which these weights were tuned, and lightly take half and the mean, as here. Their projector has three layers of width 8192.
    One loss per role.

    Raises `Problem` for a weight below 0, and for width or hidden below 1; needs batches of two examples.
    """

    needs = replace(SelfSupervised.needs, views=True, runs_encoders=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        width: int = 128,
        hidden: int = 256,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (("invariance", invariance), ("variance", variance), ("covariance", covariance)):
            if value < 0:
                raise Problem(f"vicreg: {name}={value}: give 0 or more, e.g. {1 if name == 'covariance' else 25}.")
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.context = context
        self.projector = projector(context.network.width, width, hidden, context.network, "vicreg projector")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, first, second in pairs_of_views(self.context, network, batches, self.monitor):
            with torch.autocast(first.device.type, enabled=False):
                one, other = self.projector(first), self.projector(second)
                losses[f"vicreg_{role}"] = (
                    self.invariance * functional.mse_loss(one, other)
                    + self.variance * (lacking_variance(one) + lacking_variance(other)) / 2
                    + self.covariance * (squared_covariance(one) + squared_covariance(other))
                )
        return losses


def lacking_variance(values: Tensor) -> Tensor:
    """v of `float [n, width]`: the mean hinge `max(0, 1 - deviation)` of the standard deviations of the dimensions."""
    return functional.relu(1 - (values.var(0) + SMALLEST).sqrt()).mean()


def squared_covariance(values: Tensor) -> Tensor:
    """c of `float [n, width]`: the sum of squared covariances of two different dimensions, divided by the width."""
    centred = values - values.mean(0)
    covariance = centred.T @ centred / (len(values) - 1)
    itself = torch.eye(values.shape[1], dtype=torch.bool, device=values.device)
    return covariance.masked_fill(itself, 0).square().sum() / values.shape[1]
