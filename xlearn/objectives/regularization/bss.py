"""BSS: batch spectral shrinkage of the smallest singular values of the features."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class Bss(Objective):
    """`eta sum_{i=1..k} sigma_{-i}^2` per role: the k smallest singular values of the features `[batch, width]` below the heads
    (Chen et al., NeurIPS 2019, eq. 5). Added to the cross-entropy.

    Raises `Problem` for eta below 0, k below 1, and for k not below the width, or the number of examples in a batch:
    all singular values would be shrunk.
    """

    needs = replace(NO_LABELS, below_heads=True)

    @classmethod
    def needed(cls, *, k: int = 1, **others: Any) -> Needs:
        return replace(cls.needs, batch=k + 1)

    def __init__(self, context: PhaseContext, *, eta: float = 0.001, k: int = 1) -> None:
        if eta < 0:
            raise Problem(f"bss: eta={eta}: give 0 or more, e.g. 0.001.")
        if not 1 <= k < context.network.width:
            raise Problem(f"bss: k={k}: the features have at most {context.network.width} singular values. Give fewer, e.g. 1.")
        self.eta, self.k = eta, k

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        losses = {}
        for role, batch in batches.items():
            features = network.features(batch)
            with torch.autocast(features.device.type, enabled=False):
                losses[f"{role}_bss"] = self.eta * smallest(features.float(), self.k)
        return losses


def smallest(features: Tensor, k: int) -> Tensor:
    """The sum of the squares of the k smallest singular values of `[batch, width]`.

    The gradient of sigma^2 = ||F^T u||^2 treats u as constant, so it is finite for equal singular values, e.g. the zeros of
    ReLU features.
    """
    side = features.T if len(features) <= features.shape[1] else features
    held = side.detach()
    if not bool(held.isfinite().all()):  # the monitor reports the loss
        return side.square().sum()
    directions = torch.linalg.eigh(held.T @ held).eigenvectors[:, :k]  # ascending
    return (side @ directions).square().sum()
