"""Deep embedded validation (DEV): the importance-weighted risk on the source with a control variate."""

import math

from xlearn.selection import Seen


def dev(seen: Seen) -> float:
    """`-(mean(L) + eta mean(W) - eta)`, `L_i = w(x_i) l_i`, `W_i = w(x_i)`, `eta = -Cov(L, W) / Var(W)` with n - 1, over the
    sources' validation split (You et al., ICML 2019). Needs the labels of that split, none of the target's.

    l is the 0-1 loss and w of `density_ratio`, by features, learned from training examples of the sources and of the target.
    E[W] = 1 is known, so the control variate removes most of the variance of the weights. If all weights are equal, eta is 0.
    The paper's code and skada's scorer use cross-entropy by default; its scale differs between networks. With the 0-1 loss
    and standardised features, skada's scorer is the same. Not finite: -inf.
    """
    if seen.weighted is None:
        return -math.inf
    weights, losses = seen.weighted
    weighted = weights * losses
    around = weights - weights.mean()
    variance = float(around.square().sum())
    eta = -float((around * (weighted - weighted.mean())).sum()) / variance if variance > 0 else 0.0
    return -float(weighted.mean() + eta * weights.mean() - eta)
