"""LoRA: private low-rank updates of shared weights."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch, Task
from xlearn.networks.network import Network, instead
from xlearn.sharing import Structure
from xlearn.sharing.blocks import part_key, users
from xlearn.sharing.layer_kinds import oriented
from xlearn.sharing.low_rank import layers as low_rank_layers


class LowRank(nn.Module):
    """`alpha / rank * B A` in the shape of a layer's weight, outputs first; A is initialised uniformly as a linear layer, B
    with zeros.
    """

    def __init__(self, layer: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        weight = oriented(layer)
        self.shape, self.scale = weight.shape, alpha / rank
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.up = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def delta(self) -> Tensor:
        return (self.scale * self.up @ self.down).view(self.shape)


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
KINDS = ("linear", "transposed", "convolution", "embedding")


class Lora(Structure):
    """`W_t = W + alpha / rank * B_t A_t` (Hu et al., ICLR 2022): W is shared, the low-rank part private to each task.

    Applied to every linear, convolutional (without groups) and embedding layer below the heads that is called as a module;
    transformers' `Conv1D`, whose weight is transposed, is a linear layer. Not to recurrent layers and to torch's own attention
    (`report` names all layers with and without a part). B starts at zero, so all tasks start from the unchanged network. Merges
    exactly into W_t. Parameters per task and layer: `rank (inputs + outputs)`; the inputs of a convolution are channels times
    kernel positions.
    `layers`: shell-style patterns of the layers with a low-rank part (null: all; the paper has queries and values only,
    `["*.query", "*.value"]` of MiniLM). `largest`: layers where a part would have more than this share of the weight's numbers
    are left out: for a first convolution it costs as much as full training, with a gradient through the whole network.

    Raises: `Problem` for a rank below 1 or larger than a layer, for a pattern that matches no layer with a part, and if no
    layer is left.
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
        self.chosen = low_rank_layers(network, tasks, KINDS, rank, layers, largest)
        found = self.chosen.layers
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
            layer, part = network.get_submodule(path), self._part(task, path)
            weight = oriented(layer)
            weight.add_(part.delta())
            if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
                weight[layer.padding_idx].zero_()
        return True

    def report(self) -> dict[str, Any]:
        return self.chosen.report("low-rank parts")


def reached(network: Network, tasks: Mapping[str, Task], role: str, paths: list[str]) -> list[str]:
    """The paths that a task uses: those outside of encoders of modalities that it lacks."""
    having = users(network, tasks)
    return [path for path in paths if not path.startswith("encoder.") or role in having[path.split(".")[1]]]


def _convolved(layer: nn.Module, forward: Callable[..., Any], weight: Tensor, x: Tensor) -> Tensor:
    """The output of the layer's `forward` with this weight and without its bias."""
    bias = {} if getattr(layer, "bias", None) is None else {"bias": weight.new_zeros(len(weight))}
    with instead({layer: forward}):
        return torch.func.functional_call(layer, {"weight": weight, **bias}, (x,))


def _adapted(layer: nn.Module, part: LowRank) -> Callable[[Tensor], Tensor]:
    """The layer with its low-rank part. Cheaper than a weight of full size: the inputs pass through `rank` channels."""
    forward = layer.forward

    def linear(x: Tensor) -> Tensor:
        # Scale the small matrix, and fuse sum and product.
        low, given = functional.linear(x, part.scale * part.down), forward(x)
        return torch.addmm(given.flatten(0, -2), low.flatten(0, -2), part.up.T).view(given.shape)

    def convolution(x: Tensor) -> Tensor:
        assert isinstance(layer, CONVOLUTIONS)
        down = (part.scale * part.down).view(len(part.down), *part.shape[1:])
        # A subclass of the convolution may pad differently.
        own = type(layer) not in CONVOLUTIONS
        low = _convolved(layer, forward, down, x) if own else layer._conv_forward(x, down, None)
        up = part.up.view(*part.up.shape, *[1] * (len(part.shape) - 2))
        return forward(x) + (functional.conv1d(low, up) if low.ndim == 3 else functional.conv2d(low, up))

    def embedding(numbers: Tensor) -> Tensor:
        assert isinstance(layer, nn.Embedding)
        # As in the embedding itself, padding is zero and has no gradient.
        low = functional.embedding(numbers.long(), part.up, layer.padding_idx)
        if layer.padding_idx is not None:
            low = low * (numbers != layer.padding_idx).unsqueeze(-1)
        return forward(numbers) + part.scale * low @ part.down

    return convolution if isinstance(layer, CONVOLUTIONS) else embedding if isinstance(layer, nn.Embedding) else linear
