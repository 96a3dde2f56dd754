"""Share the first blocks of every encoder."""

from xlearn.networks.network import Network, encoder_blocks, owned
from xlearn.runtime.errors import Problem


def layers(names: list[str], network: Network, *, first: int) -> list[str]:
    """Copy the `first` blocks of each encoder (Yosinski et al., NeurIPS 2014: early layers are general)."""
    prefixes: list[str] = []
    for modality, found in encoder_blocks(network).items():
        if not 1 <= first <= len(found):
            raise Problem(f"sharing.first={first}: encoder.{modality} has {len(found)} blocks. Give 1 to {len(found)}.")
        prefixes += [prefix for block in found[:first] for prefix in block]
    return owned(names, prefixes)
