"""A context whose network has batch normalisation and dropout."""

from dataclasses import replace

import torch
from adaptation_toys import begin

from xlearn.networks.network import Network


def normalised(steps=6):
    """A context whose network has batch normalisation and dropout."""
    context, net = begin(steps=steps)
    parts = {key: torch.nn.Linear(8, 3) for key in net.head}
    torch.manual_seed(4)
    net = Network(dict(net.encoder), net.fusion, parts, torch.nn.Sequential(torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2)))
    for parameter in net.head.parameters():
        torch.nn.init.normal_(parameter)
    return replace(context, network=net), net
