"""DeepJDOT: optimal transport of the target's features and predictions onto the source's features and labels."""

import math
from collections.abc import Mapping
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.parts.domains import classify, domains, need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

# Sinkhorn iterations; a fixed number, so that no convergence check synchronises the device.
ITERATIONS = 100


class DeepJdot(Objective):
    """`weight * sum_ij G_ij c_ij`, `c_ij = alpha ||f_i - f_j||^2 + CE(y_i, h(f_j)) [n, m]` between the sources' examples i and
    the unlabelled target's j (Damodaran et al., ECCV 2018, whose lambda_t is `weight`, and alpha `weight * alpha`).

    G `[n, m]`, without gradient, is the optimal transport plan of the batch for the costs c with equal weights 1 / n and 1 / m.
    With `regularisation=0` it is exact: POT's `ot.emd` on the CPU, to which the costs are copied at every step. Above 0 it
    minimises `sum G c - epsilon H(G)`, `epsilon = regularisation * mean c` (relative, because costs change during training), by
    Sinkhorn's algorithm in the log domain (Cuturi, NeurIPS 2013), with 100 iterations on the device; they do not converge far
    below 0.05. skada's `deepjdot_loss` is the same for equal n and m, without regularisation, with `reg_dist` = alpha and
    `reg_cl` = 1.

    Raises: `Problem` for a weight, an alpha or a regularisation below 0, if POT is needed but missing, and without a source or
    unlabelled target.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True)

    def __init__(self, context: PhaseContext, *, weight: float = 0.3, alpha: float = 0.1, regularisation: float = 0.0) -> None:
        need_domains(context, "deepjdot")
        for name, value, usual in (("weight", weight, 0.3), ("alpha", alpha, 0.1), ("regularisation", regularisation, 0.05)):
            if value < 0:
                raise Problem(f"deepjdot: {name}={value}: give 0 or more, e.g. {usual}.")
        if regularisation == 0:
            need_pot()
        self.weight, self.alpha, self.regularisation = weight, alpha, regularisation

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        both = domains(network, batches)
        with torch.autocast(both.source.device.type, enabled=False):
            logits = classify(network, batches, both.target)
            costs = joint_costs(both.source, both.labels, both.target, logits, self.alpha)
            plan = sinkhorn(costs.detach(), self.regularisation) if self.regularisation > 0 else exact(costs.detach())
            return {"deepjdot": self.weight * (plan * costs).sum()}


def joint_costs(source: Tensor, labels: Tensor, target: Tensor, logits: Tensor, alpha: float) -> Tensor:
    """`alpha ||f_i - f_j||^2 + CE(y_i, z_j) [n, m]` of `[n, width]` with labels `[n]`, `[m, width]` with logits `[m, K]`."""
    # Centre the features: distances do not change, and single precision loses less.
    origin = source.detach().mean(0)
    source, target = source - origin, target - origin
    squared = source.square().sum(1, keepdim=True) + target.square().sum(1) - 2 * source @ target.T
    return alpha * squared.clamp_min(0) - functional.log_softmax(logits, dim=1).T[labels]


def exact(costs: Tensor) -> Tensor:
    """The plan `[n, m]` that minimises `sum G c` with equal weights."""
    import ot

    given = costs.double().cpu()
    if not bool(given.isfinite().all()):  # the monitor reports the loss
        return torch.full_like(costs, math.nan)
    rows, columns = (torch.full((size,), 1 / size, dtype=torch.float64).numpy() for size in costs.shape)
    return torch.from_numpy(ot.emd(rows, columns, given.numpy())).to(costs)


def sinkhorn(costs: Tensor, regularisation: float) -> Tensor:
    """The plan `[n, m]` that minimises `sum G c - epsilon H(G)`, `epsilon = regularisation * mean c`, with equal weights.

    Columns sum to 1 / m exactly, rows to 1 / n as closely as the iterations come.
    """
    epsilon = (regularisation * costs.mean()).clamp_min(torch.finfo(costs.dtype).tiny)
    kernel = -costs / epsilon
    rows, columns = (-math.log(size) for size in costs.shape)
    right = costs.new_zeros(costs.shape[1])
    left = costs.new_zeros(costs.shape[0])
    for _ in range(ITERATIONS):
        left = rows - torch.logsumexp(kernel + right, dim=1)
        right = columns - torch.logsumexp(kernel + left.unsqueeze(1), dim=0)
    return torch.exp(kernel + left.unsqueeze(1) + right)


def need_pot() -> None:
    """Raise `Problem` if POT is not installed. It is imported only to compute a plan, because the import takes seconds."""
    if find_spec("ot") is None:
        raise Problem(
            "deepjdot: regularisation=0 needs POT, which is not installed. Run `pip install pot`, or set "
            "regularisation above 0, e.g. 0.05."
        )
