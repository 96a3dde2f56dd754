"""Adapters: small private layers of each task after the shared layers."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network
from xlearn.sharing import Structure
from xlearn.sharing.blocks import part_key
from xlearn.sharing.layer_kinds import oriented
from xlearn.sharing.lora import reached
from xlearn.sharing.low_rank import layers as low_rank_layers

ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "gelu": nn.GELU}


class Bottleneck(nn.Module):
    """`y + U phi(D y)` on the channels at `axis`; U starts at zero."""

    def __init__(self, channels: int, rank: int, activation: str, axis: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, rank, bias=False)
        self.up = nn.Linear(rank, channels, bias=False)
        self.activation, self.axis = ACTIVATIONS[activation](), axis
        nn.init.zeros_(self.up.weight)

    def forward(self, y: Tensor) -> Tensor:
        if y.ndim == 4 and self.axis == 1 and not y.is_contiguous():
            # Channels last in memory: the permutation is a view without a copy.
            return y + self.up(self.activation(self.down(y.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)
        return y + self.up(self.activation(self.down(y.movedim(self.axis, -1)))).movedim(-1, self.axis)


class Adapter(Structure):
    """Series adapters, private to each task, after every linear and convolutional layer (without groups) below the heads:
    `y + U_t phi(D_t y)`, with y the output of the shared layer. Transformers' `Conv1D` is a linear layer.

    `activation=none`: phi is the identity (series residual adapters, Rebuffi, Bilen & Vedaldi, NeurIPS 2017, of low rank and
    without normalisation). Weight and bias merge exactly, `W_t = (I + U_t D_t) W`, without cost at inference.
    `relu`, `gelu`: bottleneck adapters (Houlsby et al., ICML 2019; there after sublayers); these cannot be merged.
    U starts at zero. Parameters per task and layer: `2 rank channels`. `layers`: shell-style patterns of the layers with an
    adapter (null: all).

    Raises: `Problem` for a rank below 1 or larger than a layer, for a pattern that matches no layer, and without a layer.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        rank: int = 4,
        activation: Literal["none", "relu", "gelu"] = "none",
        layers: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.chosen = low_rank_layers(network, tasks, ("linear", "transposed", "convolution"), rank, layers)
        found = self.chosen.layers
        self.linear = activation == "none"
        self.paths = {role: reached(network, tasks, role, [*found]) for role in tasks}
        self.parts = nn.ModuleDict(
            {
                part_key(role, path): _bottleneck(found[path], rank, activation)
                for role, paths in self.paths.items()
                for path in paths
            }
        )
        self.modalities = {path.split(".")[1] for path in found if path.startswith("encoder.")}

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found = {}
        for path in self.paths[batch.task]:
            layer, part = network.get_submodule(path), self.parts[part_key(batch.task, path)]
            found[layer] = lambda x, forward=layer.forward, part=part: part(forward(x))
        return found

    @torch.no_grad()
    def merge(self, network: Network, task: str) -> bool:
        if not self.linear:
            return False
        for path in self.paths[task]:
            layer, part = network.get_submodule(path), self.parts[part_key(task, path)]
            assert isinstance(part, Bottleneck)
            through = part.up.weight @ part.down.weight
            weight = oriented(layer)
            weight.add_((through @ weight.flatten(1)).view(weight.shape))
            if getattr(layer, "bias", None) is not None:
                bias = layer.get_parameter("bias")
                bias.add_(through @ bias)
        return True

    def report(self) -> dict[str, Any]:
        return self.chosen.report("adapters")


def _bottleneck(layer: nn.Module, rank: int, activation: str) -> Bottleneck:
    axis = 1 if isinstance(layer, nn.Conv1d | nn.Conv2d) else -1
    return Bottleneck(len(oriented(layer)), rank, activation, axis)
