"""Share the parameters with names that match patterns."""

from fnmatch import fnmatchcase

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem, nearest


def by_name(names: list[str], network: Network, *, patterns: list[str]) -> list[str]:
    """Copy the names that match one of the shell-style `patterns`, such as `encoder.image.blocks.0.*`."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise Problem(f"sharing.patterns: {pattern!r} matches no parameter. {nearest(pattern, names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
