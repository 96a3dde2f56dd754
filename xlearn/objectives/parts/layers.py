"""Layers of objectives, initialised from a seed that depends on the network's weights."""

import torch
from torch import nn

from xlearn.networks.network import Network
from xlearn.runtime.hashing import derive, digest


def linear(before: int, after: int, network: Network, use: str) -> nn.Linear:
    """A linear layer with torch's uniform initialisation, seeded by the network's heads at the start of the phase (without
    heads, by the first 64 numbers of each parameter). So it differs between seeds of runs, and not between cached and computed
    phases.
    """
    heads = [parameter.tolist() for parameter in network.head.parameters()]
    # Only the first numbers of encoders, which may be large: random weights already differ in them.
    seed = derive(0, use, digest(heads or [parameter.flatten()[:64].tolist() for parameter in network.parameters()]))
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(before, after)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(before**-0.5), before**-0.5, generator=generator)
    return layer


@torch.no_grad()
def second_head(network: Network, key: str, use: str, apart: float) -> nn.Linear:
    """A second head for the label space `key`, initialised with the network's head plus `apart` times weights of `linear`."""
    first = network.head[key]
    assert isinstance(first, nn.Linear)
    layer = linear(first.in_features, first.out_features, network, use).to(first.weight.device)
    for mine, value in zip(layer.parameters(), first.parameters(), strict=True):
        mine.mul_(apart).add_(value)
    return layer
