"""The exponential moving average of a module (momentum encoders, mean teachers)."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xlearn.data.task import Batch
from xlearn.networks.network import Network


class MovingAverage(nn.Module):
    """`w' = d w' + (1 - d) w` of every floating-point parameter and saved buffer w of a module (also running statistics),
    starting from the current values; d may differ between steps. `average(module, ...)` is the output of the module with these
    weights, without gradient and in the module's current mode.

    The averages are buffers, not a copy of the module: they are saved and resumed, and no optimizer trains them. The module is
    passed to every call, so that it is not registered in the objective.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        saved = module.state_dict().keys()
        found = {name: value for name, value in [*module.named_parameters(), *module.named_buffers()] if name in saved}
        # Batch counters of normalisation layers are not used in evaluation mode.
        found = {name: value for name, value in found.items() if value.is_floating_point()}
        self.names = [*found]
        # By position: names of buffers cannot have dots.
        for position, value in enumerate(found.values()):
            self.register_buffer(f"value_{position}", value.detach().clone())
        # The same memory layout in a new and in a resumed phase, so that both are bit-identical.
        self.to(memory_format=torch.channels_last)

    def weights(self) -> dict[str, Tensor]:
        """The averages by their names in the module."""
        return {name: self.get_buffer(f"value_{position}") for position, name in enumerate(self.names)}

    @torch.no_grad()
    def forward(self, module: nn.Module, *given: Any) -> Any:
        return functional_call(module, self.weights(), given)

    @torch.no_grad()
    def follow(self, module: nn.Module, decay: Tensor) -> None:
        """One step of the average; `decay` is d, a scalar in [0, 1]."""
        moved, share = module.state_dict(), 1 - decay
        for name, value in self.weights().items():
            value.lerp_(moved[name], share.to(value.dtype))


class Features(nn.Module):
    """A network as a module that returns features, `Batch -> float [batch, width]`, without the batch's memo, which may contain
    features of other weights.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        return self.network.features(replace(batch, memo=None))
