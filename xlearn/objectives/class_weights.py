"""Weights against class imbalance."""

from typing import Literal

from torch import Tensor

ClassWeights = Literal["none", "balanced"]


def class_weights(kind: ClassWeights, counts: Tensor) -> Tensor | None:
    """`balanced`: `n / (K n_c)` for class c of K, 0 for a class without examples (King & Zeng, 2001; as scikit-learn)."""
    if kind == "none":
        return None
    return (counts.sum() / (len(counts) * counts.clamp_min(1))).float() * (counts > 0)
