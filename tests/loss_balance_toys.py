"""Balances by losses, and what they are started with."""

from functools import partial

import torch
import toys

from xlearn.balance import Backward
from xlearn.balance.auxiliary import Auxiliary
from xlearn.balance.dwa import DynamicWeightAverage
from xlearn.balance.famo import Famo
from xlearn.balance.gls import GeometricMean
from xlearn.balance.random import Random
from xlearn.balance.uncertainty import Uncertainty
from xlearn.objectives import PhaseContext

METHODS = {
    "random": Random, "uncertainty": Uncertainty, "dwa": partial(DynamicWeightAverage, every=2), "gls": GeometricMean,
    "famo": Famo, "auxiliary": partial(Auxiliary, first=0.75, last=0.25),
}  # fmt: skip
NETWORK = toys.network(toys.examples())


def context(roles=("a", "target"), steps=1):
    return PhaseContext(NETWORK, frozenset(), {role: torch.tensor([1, 1]) for role in roles}, steps=steps)


def gradient(balance, losses):
    """Of x = (1, 1), where `losses(x)` gives them by name."""
    x = torch.nn.Parameter(torch.ones(2))
    balance(losses(x), Backward(NETWORK, [x]))
    return x.grad


def scaled(**values):
    """Losses of these values whose gradients at x are their values times (1, 0) for the first, (0, 1) for the second."""
    return lambda x: {name: value * x[position % 2] for position, (name, value) in enumerate(values.items())}


def numbers(weights):
    return {role: float(weight) for role, weight in weights.items()}


def quadratic(x):
    return {"a": (x[0] - 3) ** 2 + x[1] ** 2, "target": 0.1 * (x**2).sum()}
