"""Share all parameters that both networks have: encoder, fusion, and the head if the label spaces are the same."""

from xlearn.networks.network import Network


def share_all(names: list[str], network: Network) -> list[str]:
    """Copy every common name."""
    return names
