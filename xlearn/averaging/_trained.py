"""The trained weights, without averaging."""

from collections.abc import Mapping

from torch import Tensor


def trained(initial: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights as the phase selected them."""
    return dict(trained)
