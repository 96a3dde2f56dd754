"""Linear interpolation between the initial and the trained weights of a phase (WiSE-FT)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.runtime.errors import Problem


def interpolate(initial: Mapping[str, Tensor], trained: Mapping[str, Tensor], *, alpha: float) -> dict[str, Tensor]:
    """`(1 - alpha) theta_0 + alpha theta_1` (WiSE-FT; Wortsman et al., CVPR 2022, eq. 1), of parameters and floating-point
    buffers; integer buffers are those of theta_1. alpha 0: the initial weights, 1: the trained weights.

    Raises `Problem` for an alpha outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise Problem(f"merge.alpha={alpha}: give a share in [0, 1]; 0 is the initial weights, 1 the trained weights.")
    # `lerp` is exact at both ends.
    return {
        name: torch.lerp(initial[name], value, alpha) if value.is_floating_point() else value for name, value in trained.items()
    }
