"""Sine waves: a few-shot regression task for each function."""

import math

import torch

from xlearn.data.tasks import Raw
from xlearn.label_spaces.functions import Functions
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive

AMPLITUDE, PHASE, PLACE = (0.1, 5.0), (0.0, math.pi), (-5.0, 5.0)


def sinusoid(*, functions: int = 1000, points: int = 40, seed: int = 0) -> Raw:
    """`y = A sin(x - phase)`, `A ~ U[0.1, 5]`, `phase ~ U[0, pi]`, `x ~ U[-5, 5]` (Finn et al., ICML 2017, section 5.1).

    `points` of each of `functions`: inputs float32 `[n, 1]`, the column `x`; labels float32 `[n, 2]`, the function's number
    and the y of exactly this x, without noise; `n = functions * points`. Functions are called `s<seed>_f<number>`. Another
    `seed` gives other functions; function i of a seed does not depend on `functions` or `points`. (The paper draws new points
    whenever a function comes up; here each has its `points`.) Raises `Problem` below 2 of either.
    """
    if functions < 2:
        raise Problem(f"sinusoid.functions={functions}: give 2 or more, e.g. 1000.")
    if points < 2:
        raise Problem(f"sinusoid.points={points}: give 2 or more, one to learn from and one to be measured on.")
    amplitude, phase = _uniform(functions, 2, derive(seed, "sinusoid", "functions")).unbind(1)
    amplitude = AMPLITUDE[0] + (AMPLITUDE[1] - AMPLITUDE[0]) * amplitude
    phase = PHASE[0] + (PHASE[1] - PHASE[0]) * phase
    # In single precision before the sine, so that y belongs to the x that is given.
    x = (PLACE[0] + (PLACE[1] - PLACE[0]) * _uniform(functions, points, derive(seed, "sinusoid", "points", points))).float()
    y = amplitude[:, None] * torch.sin(x.double() - phase[:, None])
    numbers = torch.arange(functions).repeat_interleave(points)
    return Raw(
        {"tabular": x.reshape(-1, 1)},
        torch.stack([numbers.float(), y.float().flatten()], dim=1),
        tuple(f"s{seed}_f{number:04d}" for number in range(functions)),
        "sinusoid",
        columns=("x",),
        # By function, because a network that has learned one knows all its points.
        origin={"tabular": (f"sinusoid {seed}", numbers)},
        predicts=Functions,
    )


def _uniform(rows: int, columns: int, seed: int) -> torch.Tensor:
    """float64 `[rows, columns]` from [0, 1), drawn row by row: more rows leave the first ones unchanged."""
    return torch.rand(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
