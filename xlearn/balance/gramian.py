"""Tools of gradient balances: the lengths of gradients, their cosines, and a quadratic program.

Lengths and cosines are separate arrays, because a matrix of inner products cannot hold gradients of 1e-8 and of 1e8 precisely.
"""

import numpy
import quadprog  # pyrefly: ignore[missing-import]  (compiled, without types)
from torch import Tensor

# A Gramian of float32 gradients is positive definite only up to rounding, and singular where gradients are parallel. This
# much on the diagonal of the cosines makes the solution unique: parallel gradients then share their weight evenly.
RIDGE = 1e-6


def lengths_and_cosines(gramian: Tensor) -> tuple[numpy.ndarray, numpy.ndarray]:
    """`(l [tasks], C [tasks, tasks])`, float64: `G_ij = l_i l_j C_ij`, with `RIDGE` on the diagonal of C. Needs G_ii > 0."""
    values = gramian.numpy()
    lengths = numpy.sqrt(values.diagonal())
    cosines = (values / lengths[:, None] / lengths).clip(-1.0, 1.0)
    cosines[numpy.diag_indices_from(cosines)] = 1.0 + RIDGE
    return lengths, cosines


def nonnegative(cosines: numpy.ndarray, goal: numpy.ndarray) -> numpy.ndarray:
    """`argmin_{y >= 0} 1/2 y^T C y - goal^T y`, exactly, by an active set (Goldfarb & Idnani, 1983)."""
    count = len(goal)
    # Rounding may leave -1e-20 where a bound holds.
    return quadprog.solve_qp(cosines, goal, numpy.eye(count), numpy.zeros(count))[0].clip(0.0)
