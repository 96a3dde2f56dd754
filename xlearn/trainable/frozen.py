"""Everything trains but what is named."""

from fnmatch import fnmatchcase

from xlearn.errors import Problem, nearest
from xlearn.network import Network
from xlearn.trainable import Rate


def frozen(network: Network, *, patterns: list[str]) -> dict[str, Rate]:
    """All parameters train at the full rate, except those that match one of the shell-style `patterns`, such as
    `encoder.*` or `encoder.text.*`; with no pattern, all. Encoders without parameters match as well.

    Raises `Problem` for a pattern that matches nothing of the network.
    """
    names = [name for name, _ in network.named_parameters()]
    parts = [*names, *(f"encoder.{name}.parameters" for name in network.encoder)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in parts):
            raise Problem(f"trainable.patterns: {pattern!r} matches no parameter. {nearest(pattern, names)}")
    return {name: Rate() for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)}
