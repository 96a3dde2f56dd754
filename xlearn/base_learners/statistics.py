"""The statistics of batch normalisation within episodes: of the batch, of the support, or running."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.networks.network import Network, instead

Statistics = Literal["batch", "support", "running"]


def norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]


class Normalisation:
    """Within `using`, batch normalisations of the network normalise, in training and in evaluation,

        batch: by the mean and variance of the batch, support or queries (transductive: all queries of a task together, as in
               the code of MAML); by the running ones where the batch is a single value;
        support: by those of the support, also for the queries; the support must pass first (`passes_support`);
        running: by the network's running statistics.

    No buffer changes, so that tasks do not influence each other; the phase estimates the running statistics at its end.
    """

    def __init__(self, network: Network, statistics: Statistics) -> None:
        self.network, self.statistics = network, statistics
        self.modules = norms(network)
        self.noting = True
        self.noted: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    @contextmanager
    def using(self) -> Iterator[None]:
        with instead({each: self._forward(each) for each in self.modules}):
            yield

    @property
    def passes_support(self) -> bool:
        """Whether the support must pass before the queries."""
        return self.statistics == "support" and bool(self.modules)

    def _forward(self, module: nn.modules.batchnorm._BatchNorm) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            # A single value has no statistics of its own (of episodes in which one example has the modality).
            single = self.statistics == "batch" and x.numel() == x.shape[1] and module.running_mean is not None
            if self.statistics == "running" or single:
                mean, variance = module.running_mean, module.running_var
                return functional.batch_norm(x, mean, variance, module.weight, module.bias, False, 0.0, module.eps)
            if self.statistics == "batch":
                return functional.batch_norm(x, None, None, module.weight, module.bias, True, 0.0, module.eps)
            if self.noting:
                self.noted[module] = _moments(x)
            mean, variance = self.noted[module]
            scale = (variance + module.eps).rsqrt()
            scale = scale if module.weight is None else scale * module.weight
            shift = -mean * scale if module.bias is None else module.bias - mean * scale
            sides = (-1, *[1] * (x.ndim - 2))
            return x * scale.reshape(sides) + shift.reshape(sides)

        return forward


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (of the population) of every channel, over the batch and all positions."""
    variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
    return mean, variance
