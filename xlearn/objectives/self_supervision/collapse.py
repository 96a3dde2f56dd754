"""Collapse of embeddings: spread and effective rank, recorded at every evaluation."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# The spread below which an embedding counts as collapsed: nearly all examples at one point.
COLLAPSED = 0.1


class CollapseMonitor:
    """Measures the features of the last batch of each role, `z [batch, width]` (unit vectors u):

        spread = sqrt(width) mean_j std_j(u): about 1 if u is uniform on the sphere, 0 if all examples are one point
        (Chen & He, CVPR 2021, fig. 2);
        rank = exp(-sum_k p_k log p_k), p = singular values of z / their sum: the effective rank, from 1 to min(batch, width)
        (RankMe; Garrido et al., ICML 2023; of z without centring, as there).

    A spread below 0.1 counts as collapsed.
    """

    def __init__(self) -> None:
        self.last: dict[str, Tensor] = {}

    def note(self, role: str, features: Tensor) -> None:
        """Keep the features of a step, until the next."""
        self.last[role] = features.detach()

    def log(self) -> dict[str, Any]:
        """For the record of an evaluation: `{"embedding": {role: {"spread", "rank", "width", "collapsed"}}}`."""
        return {"embedding": {role: described(each) for role, each in self.last.items()}} if self.last else {}


def described(features: Tensor) -> dict[str, Any]:
    """`spread`, `rank`, `width` and `collapsed` of `float [batch, width]`, batch of 2 or more."""
    values = features.double().cpu()
    unit = functional.normalize(values, dim=1)
    spread = float(unit.std(0).mean() * values.shape[1] ** 0.5)
    singular = torch.linalg.svdvals(values)
    shares = singular / singular.sum().clamp_min(1e-12)
    rank = float(torch.special.entr(shares).sum().exp())
    return {"spread": spread, "rank": rank, "width": values.shape[1], "collapsed": spread < COLLAPSED}
