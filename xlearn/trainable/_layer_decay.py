"""Layer-wise decay of the learning rate."""

from xlearn.networks.network import Network, encoder_blocks
from xlearn.trainable import Rate


def layer_decay(network: Network, *, decay: float) -> dict[str, Rate]:
    """Block l of L gets the rate `decay^(L + 1 - l)`, l = 1..L; head, trunk and fusion get 1 (as in BEiT and timm)."""
    depth = {}
    for found in encoder_blocks(network).values():
        for position, block in enumerate(found):
            depth.update({prefix: len(found) - position for prefix in block})
    rates = {}
    for name, _ in network.named_parameters():
        below = [count for prefix, count in depth.items() if name.startswith(prefix)]
        rates[name] = Rate(decay ** max(below, default=0))
    return rates
