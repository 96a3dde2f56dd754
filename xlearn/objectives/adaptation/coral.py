"""DeepCORAL: match the feature covariances of both domains."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Coral(Objective):
    """`weight * ||C_s - C_t||_F^2 / (4 d^2)`, with `C = 1 / (n - 1) sum_i (f_i - mean f)(f_i - mean f)^T` the covariance of the
    features `[batch, d]` below the heads, of all sources together and of the unlabelled target (Sun and Saenko, ECCV Workshops
    2016, eq. 1-3).

    The same as in skada, pytorch-adapt and ADAPT (whose documentation speaks of correlation matrices; its code has covariances
    for equal batches, and an optional term of means). Another loss: `mean (mu_s - mu_t)^2 + mean (C_s - C_t)^2`, in DomainBed,
    WILDS and the code of TLlib (whose documentation has the paper's): with a term of means, and four times the covariances'.
    Means are not compared here: a pure shift costs nothing. The loss scales with the fourth power of the features and 1 / d^2,
    so a good weight depends strongly on their scale and width.

    Raises: `Problem` for a weight below 0, and without a source or unlabelled target. A batch needs 2 examples.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True, below_heads=True, batch=2)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0) -> None:
        need_domains(context, "coral")
        if weight < 0:
            raise Problem(f"coral: weight={weight}: give 0 or more, e.g. 1.")
        self.weight = weight

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            return {"coral": self.weight * coral(both.source, both.target)}


def coral(source: Tensor, target: Tensor) -> Tensor:
    """`||C_s - C_t||_F^2 / (4 d^2)` of `[n, d]` and `[m, d]`, n and m at least 2."""
    return (_covariance(source) - _covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)
