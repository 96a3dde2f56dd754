"""Share nothing: the networks of source and target have no parameter in common."""

from xlearn.networks.network import Network


def none(names: list[str], network: Network) -> list[str]:
    """No name travels. For comparisons; `transfer=scratch` says the same more plainly."""
    return []
