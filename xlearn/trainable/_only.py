"""Train the named parameters only."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem, nearest
from xlearn.trainable import Rate


def only(network: Network, *, patterns: list[str]) -> dict[str, Rate]:
    """The parameters that match one of the shell-style `patterns`, such as `head.*` or `sharing.*`, at the full rate.

    Raises `Problem` for a pattern that matches no parameter.
    """
    return dict.fromkeys(matching(network, patterns), Rate())


def matching(network: Network, patterns: Iterable[str]) -> list[str]:
    """The names of the parameters that match a pattern. Encoders without parameters match as well, but add no name."""
    names = [name for name, _ in network.named_parameters()]
    parts = [*names, *(f"encoder.{name}.parameters" for name in network.encoder)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in parts):
            raise Problem(f"trainable.patterns: {pattern!r} matches no parameter. {nearest(pattern, names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
