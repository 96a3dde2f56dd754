"""Train all parameters except the named ones."""

from xlearn.networks.network import Network
from xlearn.trainable import Rate
from xlearn.trainable._only import matching


def frozen(network: Network, *, patterns: list[str]) -> dict[str, Rate]:
    """All parameters train at the full rate, except those that match one of the shell-style `patterns`, such as
    `encoder.*` or `encoder.text.*`; without patterns, all are trained. Encoders without parameters match as well.

    Raises `Problem` for a pattern that matches no parameter.
    """
    still = {*matching(network, patterns)}
    return {name: Rate() for name, _ in network.named_parameters() if name not in still}
