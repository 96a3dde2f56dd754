"""Deep embedded validation: the risk weighted for the target, with a control variate."""

import math

from xlearn.selection import Seen


def dev(seen: Seen) -> float:
    """`-(mean(L) + eta mean(W) - eta)`, `L_i = w(x_i) l_i`, `W_i = w(x_i)`, `eta = -Cov(L, W) / Var(W)` with n - 1, over the
    sources' validation split (You et al., ICML 2019). Needs the labels of that split, none of the target's.

    l is the 0-1 loss and w of `density_ratio`, by features, learned from training examples of the sources and of the target.
    The mean of W is known to be 1, which takes from the risk most of the variance that the weights bring. Where all weights are
    equal, eta is 0. The paper's code, and skada's scorer, take cross-entropy by default, which has another scale for every
    network; with the 0-1 loss, and standardised features, skada's is the same. Not finite: -inf.
    """
    if seen.weighted is None:
        return -math.inf
    weights, losses = seen.weighted
    weighted = weights * losses
    around = weights - weights.mean()
    variance = float(around.square().sum())
    eta = -float((around * (weighted - weighted.mean())).sum()) / variance if variance > 0 else 0.0
    return -float(weighted.mean() + eta * weights.mean() - eta)
