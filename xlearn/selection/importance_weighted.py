"""Importance-weighted validation: the risk on the source, weighted by the density ratio of target and source."""

import math

from xlearn.selection import Seen


def importance_weighted(seen: Seen) -> float:
    """`-sum_i w(x_i) l_i / sum_i w(x_i)`, in [-1, 0], over the sources' validation split with l the 0-1 loss (IWCV: Sugiyama et
    al., JMLR 2007) and w of `density_ratio`, by features. Needs the labels of that split, none of the target's.

    The paper's risk is `1/n sum w l`, the same if the weights are 1 on average. With features that separate the domains all
    weights are near 0, and so is that risk, whatever the network predicts. skada's scorer divides by the sum too, but computes
    the weights from two kernel density estimates, which fail in many dimensions. The 0-1 loss has the same scale for every
    network; cross-entropy does not. Not finite: -inf.
    """
    if seen.weighted is None:
        return -math.inf
    weights, losses = seen.weighted
    return -float((weights * losses).sum() / weights.sum())
