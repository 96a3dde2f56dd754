"""Domain-adversarial training: features by which a discriminator cannot tell source from target."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate
from xlearn.objectives.adaptation.gradient_reversal import Reversal
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem


class Dann(nn.Module):
    """`weight 1/2 (E_s -log D(R f) + E_t -log(1 - D(R f)))`: the discriminator D minimises it, and, for R reverses gradients,
    the encoder of f maximises it (DANN; Ganin and Lempitsky, ICML 2015; Ganin et al., JMLR 2016). Beside the source's
    cross-entropy.

    f `[n, width]` are the features that heads read; D has two layers of `hidden` units, R sets in by `alpha` (see `Reversal`
    for what libraries do there). skada adds the two means without halving them.
    Raises `Problem` for a negative weight, hidden below 1, alpha not above 0, and without both domains.
    """

    unlabeled = True

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, hidden: int = 64, alpha: float = 10.0) -> None:
        super().__init__()
        if weight < 0:
            raise Problem(f"dann: weight={weight}: give 0 or more, e.g. 1.")
        need_domains(context, "dann")
        self.weight = weight
        self.reversal = Reversal(context.steps, alpha=alpha)
        self.discriminator = Discriminator(context.network.width, hidden, context.network, "dann")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            source, target = (self.discriminator(self.reversal(features)) for features in (both.source, both.target))
            return {"dann": self.weight * discriminate(source, target)}

    def follow(self, network: Network) -> None:
        self.reversal.follow(network)
