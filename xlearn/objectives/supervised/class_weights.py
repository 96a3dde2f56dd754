"""Class weights for imbalanced data."""

from typing import Literal

from torch import Tensor

ClassWeights = Literal["none", "balanced", "effective"]


def class_weights(kind: ClassWeights, counts: Tensor, beta: float = 0.9999) -> Tensor | None:
    """Weights `float [K]` of K classes with `counts` n_c; 0 for a class without examples.

    `balanced`: `n / (K n_c)` (King & Zeng, 2001; as scikit-learn). `effective`: `(1 - beta) / (1 - beta^{n_c})`, one over the
    effective number of examples, scaled to sum to K (Cui et al., CVPR 2019, section 4). With beta 0 all weights are equal;
    towards 1 they become those of `balanced`, times a constant.
    """
    if kind == "none":
        return None
    if kind == "balanced":
        return (counts.sum() / (len(counts) * counts.clamp_min(1))).float() * (counts > 0)
    # 1 - beta is the same for every class. In double precision, because beta^n is close to 1 for small n.
    weights = (counts > 0) / (1 - beta ** counts.clamp_min(1).double())
    return (len(counts) * weights / weights.sum().clamp_min(1e-12)).float()
