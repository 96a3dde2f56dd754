"""The density ratio of target and source, from a domain classifier."""

import math
import warnings

import torch
from torch import Tensor

# The odds of the domains are clipped to [1 / this, this], so that no weight is infinite.
FARTHEST = 1e6


def density_ratio(source: Tensor, target: Tensor, features: Tensor) -> Tensor:
    """`w(x) = n_s / n_t * p(target | x) / p(source | x)`, double `[n]` of features `[n, width]`, all finite.

    p is a logistic regression of `source [n_s, width]` against `target [n_t, width]` (scikit-learn's, C = 1), of features with
    mean 0 and deviation 1 over both (Bickel et al., ICML 2007). The odds p / (1 - p) are cut to [1e-6, 1e6].
    """
    # Imported late: it takes two seconds, and commands that train nothing need not wait for it.
    from sklearn.linear_model import LogisticRegression

    both = torch.cat([source, target]).double()
    mean, deviation = both.mean(0), both.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    domain = torch.arange(len(both)) >= len(source)
    with warnings.catch_warnings():
        # Linearly separable domains: the fit does not converge, but its odds are clipped anyway.
        warnings.simplefilter("ignore")
        classifier = LogisticRegression(max_iter=1000).fit(((both - mean) / deviation).numpy(), domain.numpy())
        odds = classifier.decision_function(((features.double() - mean) / deviation).numpy())
    farthest = math.log(FARTHEST)
    return torch.from_numpy(odds).clamp(-farthest, farthest).exp() * (len(source) / len(target))
