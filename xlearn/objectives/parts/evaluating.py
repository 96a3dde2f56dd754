"""Evaluation mode for a while: afterwards the network is as before."""

from collections.abc import Iterator
from contextlib import contextmanager

from xlearn.networks.network import Network


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Within, every module evaluates and the network keeps no features; afterwards each is as it was."""
    modes, keeps = [(module, module.training) for module in network.modules()], network.keeps_features
    network.eval()
    network.keeps_features = False
    try:
        yield
    finally:
        network.keeps_features = keeps
        for module, training in modes:
            module.training = training
