"""Soft neighbourhood density (SND): whether each prediction on the target has many close neighbours."""

import math

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.05


def snd(logits: Tensor) -> float:
    """`mean_i H(P_i)`, in [0, log(m - 1)], in nats, `P_ij = exp(s_ij / T) / sum_{k != i} exp(s_ik / T)` over j != i, T = 0.05,
    with s the cosines of softmax outputs of `[m, classes]`, m at least 2 (Saito et al., ICCV 2021).

    skada's scorer keeps the diagonal at -1 / T, which changes nothing to 10 digits. The score depends on m: compare only scores
    of equally many examples. It is highest for equal predictions of all inputs: see infomax. Not finite: -inf.
    """
    if not bool(logits.isfinite().all()):
        return -math.inf
    shares = functional.normalize(logits.double().softmax(1), dim=1)
    similar = shares @ shares.T / TEMPERATURE
    own = torch.eye(len(similar), dtype=torch.bool)
    return float(torch.special.entr(similar.masked_fill(own, -math.inf).softmax(1)).sum(1).mean())
