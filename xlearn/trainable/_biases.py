"""Train the biases and the head only (BitFit)."""

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate


def biases(network: Network) -> dict[str, Rate]:
    """The head, and every bias below it, also of normalisation and recurrent layers (BitFit; Ben Zaken, Goldberg & Ravfogel,
    ACL 2022). Raises `Problem` if there is no bias below the head.
    """
    names = [name for name, _ in network.named_parameters()]
    below = [name for name in names if not name.startswith("head.") and "bias" in name.rpartition(".")[2].split("_")]
    if not below:
        raise Problem("bitfit: the network has no bias below the head. Use another encoder, or transfer=linear_probe.")
    return dict.fromkeys([*below, *(name for name in names if name.startswith("head."))], Rate())
