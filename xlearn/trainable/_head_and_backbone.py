"""One learning rate for the head, another for everything below it."""

from xlearn.networks.network import Network
from xlearn.trainable import Rate


def head_and_backbone(network: Network, *, head: float, backbone: float) -> dict[str, Rate]:
    """`head` and `backbone` multiply the learning rate; 0 freezes that part."""
    rates = {name: head if name.startswith("head.") else backbone for name, _ in network.named_parameters()}
    return {name: Rate(rate) for name, rate in rates.items() if rate > 0}
