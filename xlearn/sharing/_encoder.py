"""Share the encoders only; fusion and head start from random weights."""

from xlearn.networks.network import Network, owned


def encoder(names: list[str], network: Network) -> list[str]:
    """Copy the names under `encoder.` (feature transfer, Yosinski et al., NeurIPS 2014)."""
    return owned(names, ["encoder."])
