"""SigLIP: alignment of paired modalities by a sigmoid loss for each pair of the batch."""

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


class SigLip(Objective, nn.Module):
    """`-1/m sum_ij log sigmoid(l_ij (s z_i . z_j + b))`, l = 1 on the diagonal, else -1 (Zhai et al., ICCV 2023, eq. 1).

    z are unit vectors; s = exp(t) starts at `scale`, b at `bias` (the paper: 10 and -10, so that training starts near the
    prior of 1 in m); both are learned, at `rate` times the learning rate; s is clamped to at most `highest`.
    Raises `Problem` unless 0 < scale <= highest.
    """

    needs = Needs(labels=False, trains_head=False, below_heads=True, pairs=True, raw_inputs=True)

    def __init__(
        self, context: PhaseContext, *, scale: float = 10.0, bias: float = -10.0, highest: float = 100.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 < scale <= highest:
            raise Problem(f"siglip: scale={scale}: give more than 0 and at most highest={highest}, e.g. 10.")
        self.highest, self.rate = highest, rate
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        scale = self.log_scale.exp()
        return {f"siglip_{name}": sigmoid_loss(one, other, scale, self.bias) for name, one, other in pairs(network, batches)}

    def follow(self, network: Network) -> None:
        # Clamped in place here: a clamp in `forward` would set the gradient to 0 for good.
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(self.highest))


def sigmoid_loss(one: Tensor, other: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The sigmoid loss, summed over candidates, mean over the m queries; 0 for m = 0."""
    logits = scale * similarities(one, other) + bias
    signs = 2 * torch.eye(len(logits), device=logits.device, dtype=logits.dtype) - 1
    return -functional.logsigmoid(signs * logits).sum() / max(len(logits), 1)
