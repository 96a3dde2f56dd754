"""How a layer applies its weight: as a linear map of either orientation, as a convolution, or as a table of rows."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["linear", "transposed", "convolution", "embedding"]

NO_WEIGHT = "parameters outside of layers, or computed weights"

# The number of inputs, and of positions beyond the kernel, of the test of an unknown class of layers.
PROBES = 3


def kind(layer: nn.Module) -> Kind | str:
    """How the layer applies its parameter `weight`, or else, in words, why it has no low-rank part.

    `linear`: `x W^T + b`, `transposed`: `x W + b` (transformers' `Conv1D`), `convolution`: `nn.Conv1d` and `nn.Conv2d` without
    groups, `embedding`: rows `W[i]`. Classes other than torch's own are tested with random inputs, because a subclass may scale
    its weight, and a class from elsewhere may be a linear layer by another name.
    """
    own = layer._parameters.get("weight")  # a parametrised layer has a computed weight
    if isinstance(layer, nn.RNNBase):
        return "recurrent layers"
    if isinstance(layer, nn.MultiheadAttention):
        return "the joint projection of torch's attention"
    if own is None:
        return NO_WEIGHT
    if own.ndim < 2:
        return "vectors"
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        if layer.groups > 1:
            return "grouped convolutions"
        return "convolution" if type(layer) in (nn.Conv1d, nn.Conv2d) or _is_convolution(layer) else "other layers"
    if isinstance(layer, nn.Embedding):
        if layer.max_norm is not None:
            return "embeddings with max_norm"
        return "embedding" if type(layer) is nn.Embedding or _is_embedding(layer) else "scaled embeddings"
    if type(layer) is nn.Linear:
        return "linear"
    return _linear(layer) or "other layers"


def oriented(layer: nn.Module) -> Tensor:
    """A view of the layer's weight with outputs (of an embedding: rows) first, `[outputs, inputs, ...]`."""
    weight = layer.get_parameter("weight")
    return weight.T if kind(layer) == "transposed" else weight


@torch.no_grad()
def _linear(layer: nn.Module) -> Kind | None:
    """`linear` or `transposed` for a layer whose outputs are those of such a map, else None."""
    weight, bias = layer.get_parameter("weight"), getattr(layer, "bias", None)
    if weight.ndim != 2:
        return None
    for name, matrix in (("linear", weight), ("transposed", weight.T)):
        x = _random(weight, PROBES, matrix.shape[1])
        if not (bias is None or bias.shape == matrix.shape[:1]):
            continue
        found = _output(layer, x)
        if found is not None and _same(found, functional.linear(x, matrix, bias)):
            return "linear" if name == "linear" else "transposed"
    return None


@torch.no_grad()
def _is_convolution(layer: nn.Conv1d | nn.Conv2d) -> bool:
    """Whether the output is linear in the weight: `f(3 W) - f(W) = 2 (f(2 W) - f(W))`, and not constant."""
    weight = layer.get_parameter("weight")
    sizes = [step * (size - 1) + PROBES for size, step in zip(layer.kernel_size, layer.dilation, strict=True)]
    x = _random(weight, 1, layer.in_channels, *sizes)
    once, twice, thrice = (_output(layer, x, factor * weight) for factor in (1, 2, 3))
    if once is None or twice is None or thrice is None:
        return False
    return _same(thrice - once, 2 * (twice - once)) and not _same(twice, once)


@torch.no_grad()
def _is_embedding(layer: nn.Embedding) -> bool:
    numbers = torch.arange(min(PROBES, layer.num_embeddings), device=layer.weight.device)
    found = _output(layer, numbers)
    return found is not None and _same(found, layer.weight[numbers])


def _output(layer: nn.Module, x: Tensor, weight: Tensor | None = None) -> Tensor | None:
    """The output for `x`; None where the layer reads other inputs or returns something else than a tensor."""
    try:
        found = torch.func.functional_call(layer, {} if weight is None else {"weight": weight}, (x,))
    except Exception:  # a class from elsewhere may raise anything for inputs of another kind
        return None
    return found if isinstance(found, Tensor) else None


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def _random(weight: Tensor, *shape: int) -> Tensor:
    """Random numbers that leave torch's global generator as it is."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(weight)
