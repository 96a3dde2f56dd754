"""Gradient balances on Jacobians, without a network."""

import torch
import toys

from xlearn.balance import Backward
from xlearn.balance.aligned import Aligned
from xlearn.balance.cagrad import CAGrad
from xlearn.balance.gradient_similarity import GradientSimilarity
from xlearn.balance.gradnorm import GradNorm
from xlearn.balance.imtl_g import IMTLG
from xlearn.balance.mgda import MGDA
from xlearn.balance.nash import Nash
from xlearn.balance.pcgrad import PCGrad
from xlearn.balance.upgrad import UPGrad
from xlearn.objectives import PhaseContext

METHODS = {
    "aligned": Aligned, "cagrad": CAGrad, "gradient_similarity": GradientSimilarity, "gradnorm": GradNorm, "imtl_g": IMTLG,
    "mgda": MGDA, "nash": Nash, "pcgrad": PCGrad, "upgrad": UPGrad,
}  # fmt: skip
# g_1 = (1, 0), g_2 = (-1, 1): <g_1, g_2> = -1, |g_1|^2 = 1, |g_2|^2 = 2.
CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
NETWORK = toys.network(toys.examples())


def roles(count):
    return ["target", *(f"s{n}" for n in range(1, count))]


def context(names, network=NETWORK):
    return PhaseContext(network, frozenset(), {role: torch.tensor([1, 1]) for role in names})


def direction(balance, jacobian, names=None):
    """(the gradient that a balance makes of the rows of `jacobian`, its weights)."""
    x = torch.nn.Parameter(torch.zeros(jacobian.shape[1], dtype=jacobian.dtype))
    losses = {role: 1 + row @ x for role, row in zip(names or roles(len(jacobian)), jacobian, strict=True)}
    balance(losses, Backward(NETWORK, [x]))
    return x.grad, torch.stack([*balance.weights.values()])


def made(name, count=2, **options):
    return METHODS[name](context(roles(count)), **options)


def jacobians(count=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    for seed in range(count):
        tasks = 2 + seed % 5
        matrix = torch.randn(tasks, 12, generator=generator, dtype=dtype)
        yield matrix - (seed % 3) * 0.4 * matrix.mean(0)
