"""Re-estimates the running statistics of batch normalisation from given examples."""

import torch
from torch import nn

from xlearn.data.task import Examples
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine

BATCH = 256


def estimated(network: Network, examples: Examples, machine: Machine) -> int:
    """Set the running statistics of every batch normalisation to those of the examples; returns their number.

    One pass, in batches of about 256 with equal weight. Meanwhile each layer normalises by the statistics of its batch.
    """
    found = normalisations(network)
    network.eval()
    momenta = [module.momentum for module in found]
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # the mean over all batches, with equal weights
        module.train()
    with torch.no_grad():
        for positions in torch.arange(len(examples)).chunk(max(1, -(-len(examples) // BATCH))) if found else ():
            network.features(examples.take(positions).to(machine.device))
    for module, momentum in zip(found, momenta, strict=True):
        module.momentum = momentum
        module.eval()
    return len(found)


def normalisations(network: Network) -> list[nn.modules.batchnorm._BatchNorm]:
    """Every batch normalisation with running statistics."""
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
