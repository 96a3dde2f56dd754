"""Low-rank adaptation of shared weights, by task."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, instead
from xlearn.sharing.blocks import part_key, users
from xlearn.sharing.low_rank import layers as low_rank_layers


class LowRank(nn.Module):
    """`alpha / rank * B A`, shaped as the weight of a layer: A from a uniform distribution as a layer's own weight, B zero."""

    def __init__(self, layer: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        weight = layer.get_parameter("weight")
        self.shape, self.scale = weight.shape, alpha / rank
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.up = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def delta(self) -> Tensor:
        return (self.scale * self.up @ self.down).view(self.shape)


class Lora(nn.Module):
    """`W_t = W + alpha / rank * B_t A_t` (Hu et al., ICLR 2022): W is common, the low-rank part each task's own.

    At every linear, convolutional (without groups) and embedding layer below the heads that is called as a module; B starts
    at zero, so that all tasks start from the network as it is. Merges exactly: after it a task needs W_t only. Parameters
    per task and layer: `rank (inputs + outputs)`, an input of a convolution being a channel at a place of the kernel.
    Recurrent layers have no such part. `layers`: shell-style patterns of the paths that have one (null: all; the paper has
    queries and values only, `["*.query", "*.value"]` of MiniLM). `largest`: layers whose part would have more than this share
    of the weight's numbers have none: a first convolution costs as much with a part as trained, and makes the gradient go
    through all of the network. Raises `Problem` for a rank below 1 or larger than a layer, for a pattern that matches none, and
    where no layer is left.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Task],
        *,
        rank: int = 4,
        alpha: float = 4.0,
        layers: list[str] | None = None,
        largest: float = 1.0,
    ) -> None:
        super().__init__()
        found = low_rank_layers(network, tasks, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding), rank, layers, largest)
        self.paths = {role: reached(network, tasks, role, [*found]) for role in tasks}
        self.parts = nn.ModuleDict(
            {part_key(role, path): LowRank(found[path], rank, alpha) for role, paths in self.paths.items() for path in paths}
        )
        self.modalities = {path.split(".")[1] for path in found if path.startswith("encoder.")}

    def _part(self, role: str, path: str) -> LowRank:
        part = self.parts[part_key(role, path)]
        assert isinstance(part, LowRank)
        return part

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        found = {}
        for path in self.paths[batch.task]:
            layer = network.get_submodule(path)
            found[layer] = _adapted(layer, self._part(batch.task, path))
        return found

    @torch.no_grad()
    def merge(self, network: Network, task: str) -> bool:
        for path in self.paths[task]:
            weight, part = network.get_submodule(path).get_parameter("weight"), self._part(task, path)
            weight.add_(part.delta())
            if isinstance(layer := network.get_submodule(path), nn.Embedding) and layer.padding_idx is not None:
                weight[layer.padding_idx].zero_()
        return True


def reached(network: Network, tasks: Mapping[str, Task], role: str, paths: list[str]) -> list[str]:
    """Of the paths, those that a task's inputs pass through: not in the encoder of a modality that it lacks."""
    having = users(network, tasks)
    return [path for path in paths if not path.startswith("encoder.") or role in having[path.split(".")[1]]]


def _convolved(layer: nn.Module, forward: Callable[..., Any], weight: Tensor, x: Tensor) -> Tensor:
    """What the layer, as it is by `forward`, would give with this weight, and without its bias."""
    bias = {} if getattr(layer, "bias", None) is None else {"bias": weight.new_zeros(len(weight))}
    with instead({layer: forward}):
        return torch.func.functional_call(layer, {"weight": weight, **bias}, (x,))


def _adapted(layer: nn.Module, part: LowRank) -> Callable[[Tensor], Tensor]:
    """The layer with its low-rank part. Cheaper than a weight of full size: the inputs pass through `rank` channels."""
    forward = layer.forward

    def linear(x: Tensor) -> Tensor:
        # The scale where there are few channels; the sum in the same pass as the product.
        low, given = functional.linear(x, part.scale * part.down), forward(x)
        return torch.addmm(given.flatten(0, -2), low.flatten(0, -2), part.up.T).view(given.shape)

    def convolution(x: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv1d | nn.Conv2d)
        down = (part.scale * part.down).view(len(part.down), *part.shape[1:])
        # A convolution of another class may pad in a way of its own.
        own = type(layer) not in (nn.Conv1d, nn.Conv2d)
        low = _convolved(layer, forward, down, x) if own else layer._conv_forward(x, down, None)
        up = part.up.view(*part.up.shape, *[1] * (len(part.shape) - 2))
        return forward(x) + (functional.conv1d(low, up) if low.ndim == 3 else functional.conv2d(low, up))

    def embedding(numbers: Tensor) -> Tensor:
        assert isinstance(layer, nn.Embedding)
        # As for the embedding itself, padding is nothing and learns nothing.
        low = functional.embedding(numbers.long(), part.up, layer.padding_idx)
        if layer.padding_idx is not None:
            low = low * (numbers != layer.padding_idx).unsqueeze(-1)
        return forward(numbers) + part.scale * low @ part.down

    return linear if isinstance(layer, nn.Linear) else embedding if isinstance(layer, nn.Embedding) else convolution
