"""The entropy of the predictions on the target."""

import math

import torch
from torch import Tensor


def entropy(logits: Tensor) -> float:
    """`-1/m sum_i H(softmax(z_i))`, in [-log classes, 0], in nats, of `[m, classes]` (Morerio et al., ICLR 2018).

    skada's scorer also averages over the classes: it is this score divided by their number. The score is highest for a network
    that predicts one class with certainty for every input: see infomax. Not finite: -inf.
    """
    if not bool(logits.isfinite().all()):
        return -math.inf
    return -float(torch.special.entr(logits.double().softmax(1)).sum(1).mean())
