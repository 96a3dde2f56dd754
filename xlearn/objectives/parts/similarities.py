"""Similarities of embeddings, for contrastive losses."""

import torch
from torch import Tensor


def similarities(one: Tensor, other: Tensor) -> Tensor:
    """`one @ other.T [m, m]` in single precision, whatever the run's: temperatures of 100 leave no room for rounding."""
    with torch.autocast(one.device.type, enabled=False):
        return one.float() @ other.float().T
