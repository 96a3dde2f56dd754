"""DAN: the distributions of features agree, by the maximum mean discrepancy of several kernels."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.objectives.adaptation.kernels import Estimator, mmd, smallest_batch
from xlearn.objectives.parts.domains import domains, need_domains
from xlearn.runtime.errors import Problem


class Mmd:
    """`weight * MMD^2_k(f_s, f_t)`, `k(x, y) = sum_{k=-3..1} exp(-||x - y||^2 / (2 * 2^k * mean ||.||^2))`, of the features
    `[batch, width]` that heads read, of all sources together and of the unlabelled target (DAN: Long et al., ICML 2015). See
    `xlearn.objectives.adaptation.kernels`.

    The kernels have equal weights, as in TLlib; the paper solves for the weights. `estimator`: `unbiased`, the default, is
    TLlib's with `linear=False`, but for the constant 2 / (n - 1) that it adds so as to be positive; this may be below 0.
    `biased` is never below 0, but each example's likeness to itself is not paid for by the domains' distance: it also shrinks
    the spread within a domain, and with large weights all features become one point. The paper's estimate in linear time, over
    n / 2 quadruples, is noisier and not offered. Not comparable: skada's `dan_loss` has Laplace kernels exp(-||x - y|| /
    sigma).

    Raises `Problem` for a weight below 0, and where the phase reads no source, or no unlabelled target. `unbiased` needs 2
    examples in a batch (`smallest_batch`).
    """

    unlabeled = True
    smallest_batch = staticmethod(smallest_batch)

    def __init__(self, context: PhaseContext, *, weight: float = 1.0, estimator: Estimator = "unbiased") -> None:
        need_domains(context, "mmd")
        if weight < 0:
            raise Problem(f"mmd: weight={weight}: give 0 or more, e.g. 1.0.")
        self.weight, self.estimator = weight, estimator

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            return {"mmd": self.weight * mmd(both.source, both.target, self.estimator)}
