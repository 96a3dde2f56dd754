"""Class weights for imbalanced data."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

ClassWeights = Literal["none", "balanced", "effective"]


def class_weights(kind: ClassWeights, counts: Tensor, beta: float = 0.9999) -> Tensor | None:
    """Weights `float [K]` of K classes with `counts` n_c; 0 for a class without examples.

    `balanced`: `n / (K n_c)` (King & Zeng, 2001; scikit-learn's, which refuses a class without examples). `effective`:
    `(1 - beta) / (1 - beta^{n_c})`, one over the effective number of examples, scaled to sum to K (Cui et al., CVPR 2019,
    section 4). With beta 0 all weights are equal; towards 1 they become those of `balanced`, times a constant. The objectives
    divide by the sum of the weights of a batch, so a constant factor has no effect.
    """
    if kind == "none":
        return None
    if kind == "balanced":
        return (counts.sum() / (len(counts) * counts.clamp_min(1))).float() * (counts > 0)
    # 1 - beta is the same for every class. In double precision, because beta^n is close to 1 for small n.
    weights = (counts > 0) / (1 - beta ** counts.clamp_min(1).double())
    return (len(counts) * weights / weights.sum().clamp_min(1e-12)).float()


class WeightsByRole(nn.Module):
    """The class weights of each role, by its training examples per class: `weights(role)` is `float [K]`, or None for equal
    ones.
    """

    def __init__(self, counts: Mapping[str, Tensor], kind: ClassWeights, beta: float = 0.9999) -> None:
        super().__init__()
        self.places = {role: place for place, role in enumerate(counts)}
        for place, each in enumerate(counts.values()):
            # By position: names of buffers cannot have dots.
            self.register_buffer(f"weights_{place}", class_weights(kind, each, beta))

    def forward(self, role: str) -> Tensor | None:
        return None if role not in self.places else getattr(self, f"weights_{self.places[role]}")
