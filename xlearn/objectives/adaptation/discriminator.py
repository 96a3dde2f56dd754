"""Domain discriminators: classify from features whether an example belongs to source or target."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.networks.network import Network
from xlearn.objectives.parts.layers import linear
from xlearn.runtime.errors import Problem


class Discriminator(nn.Module):
    """`[n, width] -> [n]`: the logit of the source domain, by two hidden layers with ReLU (Ganin et al., JMLR 2016, and
    Tzeng et al., CVPR 2017, for the larger networks). TLlib's and skada's also have batch normalisation.

    `use` names its purpose: two with the same name have the same initial weights. Raises `Problem` for hidden below 1.
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
    source = 1 and target = 0. Both domains count the same, for any batch sizes. `weights >= 0` weigh the means; each domain's
    are divided by their sum (0 if the sum is 0).
    """
    return (_mean(functional.softplus(-source), source_weights) + _mean(functional.softplus(target), target_weights)) / 2


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return values.mean()
    return (weights * values).sum() / weights.sum().clamp_min(torch.finfo(values.dtype).tiny)
