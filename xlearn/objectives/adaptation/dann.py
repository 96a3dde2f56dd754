"""DANN: domain-adversarial training of features that a domain discriminator cannot classify."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate
from xlearn.objectives.adaptation.gradient_reversal import Reversal
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Dann(Objective, nn.Module):
    """`weight 1/2 (E_s -log D(R f) + E_t -log(1 - D(R f)))`: the discriminator D minimises it, and the encoder of f maximises
    it, because R reverses gradients (DANN; Ganin and Lempitsky, ICML 2015; Ganin et al., JMLR 2016). Added to the source's
    cross-entropy.

    f `[n, width]` are the features below the heads; D has two layers of `hidden` units; `alpha` sets how fast R increases (see
    `Reversal` for other libraries). skada adds the two means without halving them.
    Raises `Problem` for a negative weight, hidden below 1, alpha not above 0, and without both domains.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True, below_heads=True)

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
