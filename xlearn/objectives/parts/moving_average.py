"""A module's moving average: the network that momentum methods compare with."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xlearn.data.task import Batch
from xlearn.networks.network import Network


class MovingAverage(nn.Module):
    """`w' = d w' + (1 - d) w` of every floating parameter and saved buffer w of a module (statistics of normalisations among
    them), from what they are now; d may differ from step to step. `average(module, ...)` is what the module would give with
    these weights, without a gradient and in the modes that the module is in.

    The averages are buffers, not a copy of the module: they are saved and resumed, and no optimizer trains them. The module
    itself is handed over at every call, so that it does not become part of the objective.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        saved = module.state_dict().keys()
        found = {name: value for name, value in [*module.named_parameters(), *module.named_buffers()] if name in saved}
        # Counts of normalisations say nothing to who evaluates.
        found = {name: value for name, value in found.items() if value.is_floating_point()}
        self.names = [*found]
        # By position: names of buffers cannot have dots.
        for position, value in enumerate(found.values()):
            self.register_buffer(f"value_{position}", value.detach().clone())
        # Laid out alike whether the phase goes on or begins, so that a resumed one computes the same bits.
        self.to(memory_format=torch.channels_last)

    def weights(self) -> dict[str, Tensor]:
        """The averages by the names that they have in the module."""
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
    """A network as a module that gives features: `Batch -> float [batch, width]`, with nothing taken over from the batch's
    memo, where those of the network's own weights may be.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        return self.network.features(replace(batch, memo=None))
