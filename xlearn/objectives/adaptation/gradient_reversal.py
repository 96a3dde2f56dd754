"""Gradient reversal, and modules that pass gradients to their input but not to their parameters."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, coefficient: Tensor) -> Tensor:
        ctx.save_for_backward(coefficient)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        [coefficient] = ctx.saved_tensors
        return gradients[0] * -coefficient, None


def reverse(x: Tensor, coefficient: Tensor) -> Tensor:
    """The identity, with the gradient multiplied by `-coefficient`, a 0-d tensor on x's device."""
    return _Reverse.apply(x, coefficient)


class Reversal(nn.Module):
    """Gradient reversal R with an increasing coefficient: at step s of S it is

        high (2 / (1 + exp(-alpha s / S)) - 1)

    (Ganin et al., JMLR 2016, sec. 5.2, with alpha = 10, high = 1). TLlib has alpha = 1 over 1,000 steps for any S; skada has
    the constant 1. The objective calls `follow` once per training step; further forward passes do not count.

    Raises `Problem` for an alpha or a high that is not above 0.
    """

    step: Tensor

    def __init__(self, steps: int, *, alpha: float = 10.0, high: float = 1.0) -> None:
        super().__init__()
        if not alpha > 0:
            raise Problem(f"gradient reversal: alpha={alpha}: give more than 0, e.g. 10.")
        if not high > 0:
            raise Problem(f"gradient reversal: high={high}: give more than 0, e.g. 1.")
        self.steps, self.alpha, self.high = steps, alpha, high
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def coefficient(self) -> Tensor:
        """The current coefficient, a 0-d tensor."""
        progress = self.step.float() / self.steps
        return self.high * (2 * torch.sigmoid(self.alpha * progress) - 1)

    def forward(self, x: Tensor) -> Tensor:
        return reverse(x, self.coefficient())

    def follow(self, network: Network) -> None:
        self.step += 1


def held(module: nn.Module, x: Tensor) -> Tensor:
    """The output of the module for x, with gradients to x but not to the module's parameters."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, parameters, (x,))
