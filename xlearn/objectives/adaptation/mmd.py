"""DAN: match the feature distributions by the maximum mean discrepancy (MMD) of several kernels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.adaptation.kernels import Estimator, mmd
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import NO_LABELS, Needs


class Mmd(Objective):
    """`weight * MMD^2_k(f_s, f_t)`, `k(x, y) = sum_{k=-3..1} exp(-||x - y||^2 / (2 * 2^k * mean ||.||^2))`, of the features
    `[batch, width]` below the heads, of all sources together and of the unlabelled target (DAN: Long et al., ICML 2015). See
    `xlearn.objectives.adaptation.kernels`.

    The kernels have equal weights, as in TLlib; the paper solves for the weights. `estimator`: `unbiased`, the default, is
    TLlib's with `linear=False`, without the constant 2 / (n - 1) that TLlib adds to stay positive; it may be below 0. `biased`
    is never below 0, but includes each example's similarity to itself. So it also shrinks the spread within a domain, and with
    large weights all features collapse to one point. The paper's linear-time estimate over n / 2 quadruples is noisier and not
    offered. Not comparable: skada's `dan_loss` has Laplace kernels exp(-||x - y|| / sigma).

    Raises: `Problem` for a weight below 0, and without a source or unlabelled target. `unbiased` needs 2 examples in a batch.
    """

    needs = replace(NO_LABELS, unlabeled=True, below_heads=True)

    @classmethod
    def needed(cls, *, estimator: Estimator = "unbiased", **others: Any) -> Needs:
        return replace(cls.needs, batch=2 if estimator == "unbiased" else 1)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, estimator: Estimator = "unbiased") -> None:
        need_domains(context, "mmd")
        if weight < 0:
            raise Problem(f"mmd: weight={weight}: give 0 or more, e.g. 1.0.")
        self.weight, self.estimator = weight, estimator

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            return {"mmd": self.weight * mmd(both.source, both.target, self.estimator)}
