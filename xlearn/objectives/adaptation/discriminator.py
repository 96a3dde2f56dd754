"""Who tells by the features which domain an example is of."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.networks.network import Network
from xlearn.objectives.parts.layers import linear
from xlearn.runtime.errors import Problem


class Discriminator(nn.Module):
    """`[n, width] -> [n]`: the logit of being of the source, by two hidden layers with ReLU (Ganin et al., JMLR 2016, and
    Tzeng et al., CVPR 2017, for the larger networks). TLlib's and skada's have batch normalisation in addition.

    `use` names what it is for: two of one name begin with the same weights. Raises `Problem` for hidden below 1.
    """

    def __init__(self, width: int, hidden: int, network: Network, use: str) -> None:
        super().__init__()
        if hidden < 1:
            raise Problem(f"{use}: hidden={hidden}: the discriminator needs 1 hidden unit or more. Give e.g. 64.")
        sizes = [(width, hidden), (hidden, hidden), (hidden, 1)]
        first, second, last = (linear(*size, network, f"{use} discriminator {number}") for number, size in enumerate(sizes))
        self.layers = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).squeeze(1)


def discriminate(
    source: Tensor, target: Tensor, source_weights: Tensor | None = None, target_weights: Tensor | None = None
) -> Tensor:
    """`1/2 (mean_s -log sigmoid(z_s) + mean_t -log(1 - sigmoid(z_t)))`, binary cross-entropy of logits z `[n]` and `[m]` with
    source = 1 and target = 0. Both domains count the same, whatever their batches; means are weighted by `weights >= 0`, of
    which each domain's are divided by their sum (0 where that is 0).
    """
    return (_mean(functional.softplus(-source), source_weights) + _mean(functional.softplus(target), target_weights)) / 2


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return values.mean()
    return (weights * values).sum() / weights.sum().clamp_min(torch.finfo(values.dtype).tiny)
