"""The mean of losses by class over the examples of a batch, weighted by class."""

import torch
from torch import Tensor
from torch.nn import functional


def log_probabilities(logits: Tensor) -> Tensor:
    """`log softmax(z) [n, K]`, in single precision or better, also under autocast on the CPU."""
    return functional.log_softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))


def mean_by_label(losses: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """`sum_i sum_c q_ic w_c l_ic / sum_i sum_c q_ic w_c`, of losses `l [n, K]`: l_ic is the loss of example i with label c.

    Labels are classes, `int64 [n]` (q is 1 for the label, else 0), or shares q `float [n, K]` where an augmentation mixes
    labels: such an example counts as q_ic examples of each class c, with the weight and the loss of that class. It is divided
    by the sum of the weights; without weights (all 1), by n. Weights are `float [K]`; their scale has no effect.
    """
    if not labels.is_floating_point():
        return functional.nll_loss(-losses, labels, weight=weights)
    counted = labels if weights is None else labels * weights
    return (counted * losses).sum() / counted.sum()


def mean_by_example(losses: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """`sum_i v_i l_i / sum_i v_i`, of losses `l [n]` that do not depend on the label, with the weight of example i
    `v_i = sum_c q_ic w_c` (without weights: 1). Labels and weights as above.
    """
    if weights is None:
        return losses.mean()
    # Not a matrix product, which autocast would compute in half precision.
    each = (labels * weights).sum(1) if labels.is_floating_point() else weights[labels]
    return (each * losses).sum() / each.sum()
