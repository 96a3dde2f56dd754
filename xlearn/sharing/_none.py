"""Share nothing: the networks of source and target have no parameter in common."""

from xlearn.networks.network import Network
from xlearn.runtime.needs import NO_LABELS, declares


@declares(NO_LABELS)
def none(names: list[str], network: Network) -> list[str]:
    """Copy nothing. For comparisons; `transfer=scratch` is the plain way to do so."""
    return []
