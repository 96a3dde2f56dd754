"""Balances of losses and of gradients, without a phase."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from toys.networks import image_network
from toys.tasks import random_images
from xlearn.balance import Backward
from xlearn.balance.aligned import Aligned
from xlearn.balance.auxiliary import Auxiliary
from xlearn.balance.cagrad import CAGrad
from xlearn.balance.dwa import DynamicWeightAverage
from xlearn.balance.famo import Famo
from xlearn.balance.gls import GeometricMean
from xlearn.balance.gradient_similarity import GradientSimilarity
from xlearn.balance.gradnorm import GradNorm
from xlearn.balance.imtl_g import IMTLG
from xlearn.balance.mgda import MGDA
from xlearn.balance.nash import Nash
from xlearn.balance.pcgrad import PCGrad
from xlearn.balance.random import Random
from xlearn.balance.uncertainty import Uncertainty
from xlearn.balance.upgrad import UPGrad
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext

BY_GRADIENTS = {
    "aligned": Aligned, "cagrad": CAGrad, "gradient_similarity": GradientSimilarity, "gradnorm": GradNorm, "imtl_g": IMTLG,
    "mgda": MGDA, "nash": Nash, "pcgrad": PCGrad, "upgrad": UPGrad,
}  # fmt: skip
BY_LOSSES = {
    "random": Random, "uncertainty": Uncertainty, "dwa": partial(DynamicWeightAverage, every=2), "gls": GeometricMean,
    "famo": Famo, "auxiliary": partial(Auxiliary, first=0.75, last=0.25),
}  # fmt: skip
# g_1 = (1, 0), g_2 = (-1, 1): <g_1, g_2> = -1, |g_1|^2 = 1, |g_2|^2 = 2.
CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
NETWORK = image_network(random_images())


def roles(count: int) -> list[str]:
    return ["target", *(f"s{n}" for n in range(1, count))]


def context(names: Sequence[str] = ("a", "target"), network: Network = NETWORK, steps: int = 1) -> PhaseContext:
    return PhaseContext(network, frozenset(), {role: torch.tensor([1, 1]) for role in names}, steps=steps)


def made(name: str, count: int = 2, **options: Any) -> Any:
    """A balance by gradients of so many tasks."""
    return BY_GRADIENTS[name](context(roles(count)), **options)


def direction(balance: Any, jacobian: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """(the gradient that a balance makes of the rows of `jacobian`, its weights)."""
    x = torch.nn.Parameter(torch.zeros(jacobian.shape[1], dtype=jacobian.dtype))
    losses = {role: 1 + row @ x for role, row in zip(names or roles(len(jacobian)), jacobian, strict=True)}
    balance(losses, Backward(NETWORK, [x]))
    return x.grad, torch.stack([*balance.weights.values()])


def jacobians(count: int = 6, dtype: torch.dtype = torch.float64) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for seed in range(count):
        tasks = 2 + seed % 5
        matrix = torch.randn(tasks, 12, generator=generator, dtype=dtype)
        yield matrix - (seed % 3) * 0.4 * matrix.mean(0)


def gradient(balance: Any, losses: Callable[[Tensor], dict[str, Tensor]]) -> Tensor:
    """Of x = (1, 1), where `losses(x)` gives them by name."""
    x = torch.nn.Parameter(torch.ones(2))
    balance(losses(x), Backward(NETWORK, [x]))
    return x.grad


def scaled(**values: float) -> Callable[[Tensor], dict[str, Tensor]]:
    """Losses of these values whose gradients at x are their values times (1, 0) for the first, (0, 1) for the second."""
    return lambda x: {name: value * x[position % 2] for position, (name, value) in enumerate(values.items())}


def numbers(weights: Mapping[str, Tensor]) -> dict[str, float]:
    return {role: float(weight) for role, weight in weights.items()}


def quadratic(x: Tensor) -> dict[str, Tensor]:
    return {"a": (x[0] - 3) ** 2 + x[1] ** 2, "target": 0.1 * (x**2).sum()}
