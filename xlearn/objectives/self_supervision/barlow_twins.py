"""Barlow Twins: redundancy reduction, with the identity as cross-correlation of two views' embeddings."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.self_supervision.projector import pairs_of_views, projector
from xlearn.objectives.self_supervision.self_supervision import SelfSupervised
from xlearn.runtime.errors import Problem

# As in batch normalisation: a constant dimension has the correlation 0.
SMALLEST = 1e-5


class BarlowTwins(SelfSupervised):
    """`sum_i (1 - C_ii)^2 + redundancy * sum_{i != j} C_ij^2`, with C `[width, width]` the correlation over the batch of the
    projected features of two views (Zbontar et al., ICML 2021, eq. 1 and 2):

        C_ij = 1/N sum_b u_bi v_bj, u and v the projections, less their mean over the batch, divided by sqrt(variance + 1e-5).

    The variance has the divisor N, as in the authors' code and lightly, which use a batch normalisation; with N - 1 (as in the
    paper's pseudocode, if its `std` is torch's) C_ii would never reach 1. The paper has a redundancy of 0.005 and a projector
    of three layers of width 8192. One loss per role.

    Raises `Problem` for a redundancy below 0, and for width or hidden below 1; needs batches of two examples.
    """

    needs = replace(SelfSupervised.needs, views=True, runs_encoders=True)

    def __init__(self, context: PhaseContext, *, width: int = 128, hidden: int = 256, redundancy: float = 0.02) -> None:
        super().__init__()
        if redundancy < 0:
            raise Problem(f"barlow_twins: redundancy={redundancy}: give 0 or more, e.g. 0.02.")
        self.context, self.redundancy = context, redundancy
        self.projector = projector(context.network.width, width, hidden, context.network, "barlow_twins projector")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, one, other in pairs_of_views(self.context, network, batches, self.monitor):
            with torch.autocast(one.device.type, enabled=False):
                found = redundancy_reduction(self.projector(one), self.projector(other), self.redundancy)
            losses[f"barlow_twins_{role}"] = found
        return losses


def redundancy_reduction(one: Tensor, other: Tensor, redundancy: float) -> Tensor:
    """The loss of two views `float [n, width]`; n of 2 or more."""
    correlation = _standardised(one).T @ _standardised(other) / len(one)
    own = correlation.diagonal()
    # Masked, because the difference of two sums would lose precision near 0.
    others = correlation.masked_fill(torch.eye(len(own), dtype=torch.bool, device=own.device), 0)
    return (1 - own).square().sum() + redundancy * others.square().sum()


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean(0)) / (values.var(0, correction=0) + SMALLEST).sqrt()
