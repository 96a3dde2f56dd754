"""CDAN: conditional domain-adversarial training, with a discriminator on features and predictions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate
from xlearn.objectives.adaptation.gradient_reversal import Reversal
from xlearn.objectives.parts.domains import classify, domains, need_domains
from xlearn.objectives.parts.layers import linear
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

# The paper's limit: larger products are approximated by random projections.
LARGEST = 4096


class Cdan(Objective, nn.Module):
    """`weight 1/2 (E_s -w log D(R T(f, g)) + E_t -w log(1 - D(R T(f, g))))` with gradient reversal R (CDAN; Long et al.,
    NeurIPS 2018). Added to the source's cross-entropy.

    f `[n, width]` are the features, `g = softmax(z) [n, classes]`, through which no gradient goes, as in the authors' code and
    TLlib (skada multiplies by the logits z, with gradient). `T(f, g) = vec(f g^T)`; with `randomised: d`, and where width times
    classes is above 4,096 (then d = 4,096), `T(f, g) = (R_f f) * (R_g g) / sqrt(d)`, with R_f and R_g fixed, of independent
    uniform numbers of mean 0 and variance 1 (TLlib: normal ones, and only as an option).
    `entropy` (CDAN+E): `w = 1 + exp(-H(g))`, without gradient as in TLlib (the authors' code lets one through H, reversed);
    each domain's weights are divided by their mean, as the authors do (TLlib: those of both together). Without it w = 1.
    `hidden`, `alpha`: as in `Dann`. Raises `Problem` for a negative weight, hidden or randomised below 1, alpha not above 0,
    and without both domains.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True, below_heads=True)

    def __init__(
        self,
        context: PhaseContext,
        *,
        weight: float = 1.0,
        hidden: int = 64,
        alpha: float = 10.0,
        entropy: bool = True,
        randomised: int | None = None,
    ) -> None:
        super().__init__()
        if weight < 0:
            raise Problem(f"cdan: weight={weight}: give 0 or more, e.g. 1.")
        if randomised is not None and randomised < 1:
            raise Problem(f"cdan: randomised={randomised}: give null, or a number of dimensions, e.g. 1024.")
        classes, width = need_domains(context, "cdan"), context.network.width
        self.weight, self.entropy = weight, entropy
        self.randomised = LARGEST if randomised is None and width * classes > LARGEST else randomised
        if self.randomised is not None:
            for name, size in (("features", width), ("predictions", classes)):
                # Not persistent: a resumed phase draws the same again. A layer's weights have the variance 1 / (3 size).
                drawn = linear(size, self.randomised, context.network, f"cdan {name}").weight.detach()
                self.register_buffer(f"random_{name}", drawn.T * (3 * size) ** 0.5, persistent=False)
        self.reversal = Reversal(context.steps, alpha=alpha)
        self.discriminator = Discriminator(self.randomised or width * classes, hidden, context.network, "cdan")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            logits, weights = [], []
            for features in (both.source, both.target):
                predictions = functional.softmax(classify(network, batches, features).detach(), dim=1)
                logits.append(self.discriminator(self.reversal(self.joined(features, predictions))))
                weights.append(1 + (-torch.special.entr(predictions).sum(1)).exp() if self.entropy else None)
            return {"cdan": self.weight * discriminate(*logits, *weights)}

    def joined(self, features: Tensor, predictions: Tensor) -> Tensor:
        """`T(f, g) [n, width * classes]`, class after class, or `[n, randomised]`."""
        if self.randomised is None:
            return (predictions.unsqueeze(2) * features.unsqueeze(1)).flatten(1)
        drawn, shares = self.get_buffer("random_features"), self.get_buffer("random_predictions")
        return (features @ drawn) * (predictions @ shares) / self.randomised**0.5

    def follow(self, network: Network) -> None:
        self.reversal.follow(network)
