"""Train all parameters except the named ones."""

from xlearn.networks.network import Network
from xlearn.trainable import Rate
from xlearn.trainable._only import matching


def frozen(network: Network, *, patterns: list[str]) -> dict[str, Rate]:
    """All parameters train at their usual rate, except those that match one of the shell-style `patterns`, such as
    `encoder.*` or `encoder.text.*`; without patterns, all are trained. Encoders without parameters match as well.

    The usual rate is the full one; that of an encoder with pretrained weights is its `rate` (see `xlearn.encoders`).

    Raises `Problem` for a pattern that matches no parameter.
    """
    still = {*matching(network, patterns)}
    return {name: Rate(usual_rate(network, name)) for name, _ in network.named_parameters() if name not in still}


def usual_rate(network: Network, name: str) -> float:
    """The multiplier of the learning rate of a parameter, where no phase sets another."""
    part, _, rest = name.partition(".")
    return network.encoder_rates.get(rest.partition(".")[0], 1.0) if part == "encoder" else 1.0
