"""The outputs of a network's modules, and the modules of its blocks."""

from typing import Any

from torch import Tensor, nn

from xlearn.networks.network import Network, encoder_blocks


def block_paths(network: Network) -> dict[str, list[list[str]]]:
    """By modality, the encoder's blocks from input to output, each a list of module paths.

    Parameters outside of these modules (class tokens, positions) are shared by all tasks, whatever the sharing.
    """
    return {
        name: [[path.removesuffix(".") for path in block if path.endswith(".")] for block in blocks]
        for name, blocks in encoder_blocks(network).items()
    }


def channel_axis(module: nn.Module, given: Tensor) -> int:
    """The channel axis of a module's output: 1 for images `[batch, channels, height, width]` and Conv1d, else the last."""
    return 1 if given.ndim == 4 or isinstance(module, nn.Conv1d) else given.ndim - 1


def first(value: Any) -> Tensor:
    """The main tensor of a module's output: the output itself, or the first of a tuple."""
    return value if isinstance(value, Tensor) else first(value[0])


def with_first(value: Any, new: Tensor) -> Any:
    """The output with `new` in place of its `first` tensor."""
    if isinstance(value, Tensor):
        return new
    return like(value, [with_first(value[0], new), *value[1:]])


def like(value: Any, inner: list[Any]) -> Any:
    """`inner` as a list, tuple or named tuple, as `value` is."""
    return type(value)(*inner) if hasattr(value, "_fields") else type(value)(inner)
