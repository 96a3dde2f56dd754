"""Temporary evaluation mode of a network."""

from collections.abc import Iterator
from contextlib import contextmanager

from xlearn.networks.network import Network


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Within this context all modules are in evaluation mode and the network memoises no features; then modes are restored."""
    modes, keeps = [(module, module.training) for module in network.modules()], network.keeps_features
    network.eval()
    network.keeps_features = False
    try:
        yield
    finally:
        network.keeps_features = keeps
        for module, training in modes:
            module.training = training
