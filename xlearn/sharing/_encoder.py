"""Share the encoders only; fusion and head start fresh."""

from xlearn.networks.network import Network, owned


def encoder(names: list[str], network: Network) -> list[str]:
    """Names under `encoder.` travel (feature transfer, Yosinski et al., NeurIPS 2014)."""
    return owned(names, ["encoder."])
