"""Similarities of embeddings, for contrastive losses."""

import torch
from torch import Tensor


def similarities(one: Tensor, other: Tensor) -> Tensor:
    """`one @ other.T [m, m]`, always in single precision, because scales of up to 100 amplify rounding errors."""
    with torch.autocast(one.device.type, enabled=False):
        return one.float() @ other.float().T
