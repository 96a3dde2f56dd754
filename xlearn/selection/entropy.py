"""How certain the predictions on the target are."""

import math

import torch
from torch import Tensor


def entropy(logits: Tensor) -> float:
    """`-1/m sum_i H(softmax(z_i))`, in [-log classes, 0], in nats, of `[m, classes]` (Morerio et al., ICLR 2018).

    skada's scorer averages over the classes too: it is this divided by their number. Highest for one class predicted with
    certainty whatever the input: see infomax. Not finite: -inf.
    """
    if not bool(logits.isfinite().all()):
        return -math.inf
    return -float(torch.special.entr(logits.double().softmax(1)).sum(1).mean())
