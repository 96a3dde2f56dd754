"""Gaussian kernels of several widths, and the maximum mean discrepancy (MMD) of two samples."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["biased", "unbiased"]

# The widths, as multiples of the mean squared distance.
ALPHAS = tuple(2.0**power for power in range(-3, 2))


def squared_distances(points: Tensor) -> Tensor:
    """`||x_i - x_j||^2 [n, n]` of points `[n, width]`, by one matrix product."""
    # Centre the points: distances do not change, and single precision loses less.
    centred = points - points.detach().mean(0)
    squares = centred.square().sum(1)
    return (squares.unsqueeze(1) + squares.unsqueeze(0) - 2 * centred @ centred.T).clamp_min(0)


def gaussian(squared: Tensor, alphas: Sequence[float] = ALPHAS) -> Tensor:
    """`sum_k exp(-d_ij^2 / (2 alpha_k mean d^2)) [n, n]` of squared distances, by default alpha_k = 2^k, k = -3..1.

    The mean is over all n^2 pairs, including i = j, without gradient (both as in TLlib): the kernel does not depend on the
    scale of the points.
    """
    width = 2 * squared.detach().mean().clamp_min(torch.finfo(squared.dtype).tiny)
    scaled = squared / width
    factors = torch.tensor([1 / alpha for alpha in alphas], dtype=squared.dtype, device=squared.device)
    return torch.exp(-scaled * factors[:, None, None]).sum(0)


def discrepancy(kernel: Tensor, count: int, estimator: Estimator = "unbiased") -> Tensor:
    """MMD^2 of the first `count` points and the m others, from their kernel matrix `[count + m, count + m]` (Gretton et al.,
    JMLR 2012).

    `biased` (eq. 5): `mean k(s, s') + mean k(t, t') - 2 mean k(s, t)` over all pairs, including those of a point with itself:
    at least 0, and 0 for equal samples. `unbiased` (eq. 3): within a sample, only pairs of different points: it may be below 0,
    and needs 2 points in each sample.
    """
    source, target = kernel[:count, :count], kernel[count:, count:]
    within = _within(source, estimator) + _within(target, estimator)
    return within - 2 * kernel[:count, count:].mean()


def mmd(source: Tensor, target: Tensor, estimator: Estimator = "unbiased") -> Tensor:
    """MMD^2 of `[n, width]` and `[m, width]` by the sum of Gaussian kernels."""
    return discrepancy(gaussian(squared_distances(torch.cat([source, target]))), len(source), estimator)


def _within(kernel: Tensor, estimator: Estimator) -> Tensor:
    if estimator == "biased":
        return kernel.mean()
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
