"""Share what both networks name: encoder, fusion, and the head where the label spaces are the same."""

from xlearn.networks.network import Network


def share_all(names: list[str], network: Network) -> list[str]:
    """Every common name travels: the plain rule of ownership."""
    return names
