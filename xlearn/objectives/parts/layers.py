"""Layers of an objective's own, drawn from the network's weights when the phase begins."""

import torch
from torch import nn

from xlearn.networks.network import Network
from xlearn.runtime.hashing import derive, digest


def linear(before: int, after: int, network: Network, use: str) -> nn.Linear:
    """A layer with torch's uniform beginning, drawn by what the network's heads are when the phase begins (without heads, by
    the first 64 numbers of each of its parameters): another seed draws another one, and which phases came from the cache does
    not matter.
    """
    heads = [parameter.tolist() for parameter in network.head.parameters()]
    # Of encoders only the beginnings: they may be large, and what was drawn differs from its first number on.
    seed = derive(0, use, digest(heads or [parameter.flatten()[:64].tolist() for parameter in network.parameters()]))
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(before, after)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(before**-0.5), before**-0.5, generator=generator)
    return layer


@torch.no_grad()
def second_head(network: Network, key: str, use: str, apart: float) -> nn.Linear:
    """A head beside the network's for the label space `key`, beginning as it, plus `apart` times weights as of `linear`."""
    first = network.head[key]
    assert isinstance(first, nn.Linear)
    layer = linear(first.in_features, first.out_features, network, use).to(first.weight.device)
    for mine, value in zip(layer.parameters(), first.parameters(), strict=True):
        mine.mul_(apart).add_(value)
    return layer
