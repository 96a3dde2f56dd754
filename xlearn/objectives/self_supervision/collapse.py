"""Has an embedding collapsed? Its spread and its rank, told at every look."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Below, all examples lie on nearly one point.
COLLAPSED = 0.1


class CollapseMonitor:
    """What the representation of the last batch of each role was like: of features `z [batch, width]` (unit vectors u)

        spread = sqrt(width) mean_j std_j(u): about 1 where u fills the sphere, 0 where all examples are one point
        (Chen & He, CVPR 2021, fig. 2);
        rank = exp(-sum_k p_k log p_k), p = singular values of z / their sum: the effective rank, from 1 to min(batch, width)
        (RankMe; Garrido et al., ICML 2023; of z as it is, as there).

    A spread below 0.1 counts as collapsed.
    """

    def __init__(self) -> None:
        self.last: dict[str, Tensor] = {}

    def note(self, role: str, features: Tensor) -> None:
        """Keep the features of a step, until the next."""
        self.last[role] = features.detach()

    def log(self) -> dict[str, Any]:
        """For the record of a look: `{"embedding": {role: {"spread", "rank", "width", "collapsed"}}}`."""
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
