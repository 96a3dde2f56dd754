"""The mutual information of input and prediction on the target: certain and diverse predictions."""

import math

import torch
from torch import Tensor


def infomax(logits: Tensor) -> float:
    """`H(mean_i p_i) - mean_i H(p_i)`, in [0, log classes], in nats, of p = softmax of `[m, classes]`: the mutual information
    of input and prediction (Shi and Sha, ICML 2012; as a rule of selection Musgrave et al., 2022). Not finite: -inf.
    """
    if not bool(logits.isfinite().all()):
        return -math.inf
    shares = logits.double().softmax(1)
    return float(torch.special.entr(shares.mean(0)).sum() - torch.special.entr(shares).sum(1).mean())
