"""Batch spectral shrinkage: features that carry little are shrunk."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


class Bss:
    """`eta sum_{i=1..k} sigma_{-i}^2` per role: the k smallest singular values of the features `[batch, width]` that the heads
    read (Chen et al., NeurIPS 2019, eq. 5). Beside the cross-entropy.

    Raises `Problem` for eta below 0, k below 1, and for k not below the width, or the number of examples in a batch
    (`smallest_batch`): all singular values would be shrunk.
    """

    def __init__(self, context: PhaseContext, *, eta: float = 0.001, k: int = 1) -> None:
        if eta < 0:
            raise Problem(f"bss: eta={eta}: give 0 or more, e.g. 0.001.")
        if not 1 <= k < context.network.width:
            raise Problem(f"bss: k={k}: the features have {context.network.width} singular values at most. Give fewer, e.g. 1.")
        self.eta, self.k = eta, k

    @staticmethod
    def smallest_batch(*, k: int = 1, **others: object) -> int:
        """So many examples a batch must have."""
        return k + 1

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            features = network.features(batch)
            with torch.autocast(features.device.type, enabled=False):
                losses[f"{role}_bss"] = self.eta * smallest(features.float(), self.k)
        return losses


def smallest(features: Tensor, k: int) -> Tensor:
    """The sum of the squares of the k smallest singular values of `[batch, width]`.

    The gradient of sigma^2 = ||F^T u||^2 is that with u held, so that it is finite where singular values coincide, as at the
    zeros that ReLU leaves.
    """
    side = features.T if len(features) <= features.shape[1] else features
    held = side.detach()
    if not bool(held.isfinite().all()):  # told by whoever watches the loss
        return side.square().sum()
    directions = torch.linalg.eigh(held.T @ held).eigenvectors[:, :k]  # ascending
    return (side @ directions).square().sum()
