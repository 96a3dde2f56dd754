"""Gradual unfreezing, from the head downwards."""

from xlearn.networks.network import Network, encoder_blocks
from xlearn.trainable import Rate


def gradual(network: Network, *, backbone: float, until: float) -> dict[str, Rate]:
    """Head, trunk and fusion train from the start; the k-th block from the top joins at `until * k / L` of the steps.

    `backbone` multiplies the learning rate of the blocks (Howard & Ruder, ACL 2018: one more layer per epoch).
    """
    starts = {}
    for found in encoder_blocks(network).values():
        for position, block in enumerate(found):
            starts.update({prefix: until * (len(found) - position) / len(found) for prefix in block})
    rates = {}
    for name, _ in network.named_parameters():
        start = [share for prefix, share in starts.items() if name.startswith(prefix)]
        rates[name] = Rate(backbone, start[0]) if start else Rate()
    return rates
