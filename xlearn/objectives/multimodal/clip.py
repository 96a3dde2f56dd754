"""CLIP: contrastive alignment of paired modalities."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.multimodal.alignment import pairs
from xlearn.objectives.parts.similarities import similarities
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Clip(Objective, nn.Module):
    """`1/2 [CE(s z_a z_b^T, I) + CE(s z_b z_a^T, I)]` per pair of modalities, mean over examples (Radford et al., ICML 2021).

    z are unit vectors, s = exp(t) is learned from `1 / temperature` and clamped to at most `highest` (the paper: 100).
    `rate` multiplies the learning rate of t. Raises `Problem` for a temperature that is not above 0 or below 1 / highest.
    """

    needs = Needs(labels=False, trains_head=False, below_heads=True, pairs=True, raw_inputs=True)

    def __init__(self, context: PhaseContext, *, temperature: float = 0.07, highest: float = 100.0, rate: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0 or 1 / temperature > highest:
            raise Problem(f"clip: temperature={temperature}: give {1 / highest:g} (1 / highest) or more, e.g. 0.07.")
        self.highest, self.rate = highest, rate
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {f"clip_{name}": info_nce(one, other, self.scale()) for name, one, other in pairs(network, batches)}

    def scale(self) -> Tensor:
        return self.log_scale.exp()

    def follow(self, network: Network) -> None:
        # Clamped in place here: a clamp in `forward` would set the gradient to 0 for good.
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(self.highest))


def info_nce(one: Tensor, other: Tensor, scale: Tensor) -> Tensor:
    """The symmetric cross-entropy of `scale * one @ other.T [m, m]` against its diagonal; 0 for m < 2 (no negatives)."""
    if len(one) < 2:
        return scale * (one.sum() + other.sum()) * 0
    logits = scale * similarities(one, other)
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
