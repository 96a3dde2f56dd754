"""SimCLR: contrast two views of an example with all other views in the batch."""

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


class SimClr(SelfSupervised):
    """NT-Xent of two views per example, on unit vectors z, the projected features (Chen et al., ICML 2020):

        mean over the 2N views i of -log[ exp(z_i z_p(i) / t) / sum_{k != i} exp(z_i z_k / t) ],

    p(i) the other view of the same example, t the temperature: 2N - 2 negatives per view, as in the paper and in lightly. One
    loss per role, among the N examples of its batch. A temperature of 0.2 suits small batches; the paper has 0.1 to 1. The
    paper passes all views as one batch; here each view has a separate forward pass.

    Raises `Problem` for a temperature not above 0, and for width or hidden below 1; needs batches of two examples.
    """

    needs = replace(SelfSupervised.needs, views=True, runs_encoders=True)

    def __init__(self, context: PhaseContext, *, width: int = 128, hidden: int = 256, temperature: float = 0.2) -> None:
        super().__init__()
        if not temperature > 0:
            raise Problem(f"simclr: temperature={temperature}: give more than 0, e.g. 0.2.")
        self.context, self.temperature = context, temperature
        self.projector = projector(context.network.width, width, hidden, context.network, "simclr projector")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, one, other in pairs_of_views(self.context, network, batches, self.monitor):
            with torch.autocast(one.device.type, enabled=False):
                losses[f"simclr_{role}"] = nt_xent(self.projector(one), self.projector(other), self.temperature)
        return losses


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy of two views `float [n, width]`; n of 2 or more."""
    unit = functional.normalize(torch.cat([one, other]), dim=1)
    # A view is not its own negative.
    scores = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(unit), device=unit.device).roll(len(one))
    return functional.cross_entropy(scores, partner)
