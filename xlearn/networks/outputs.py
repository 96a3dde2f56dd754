"""What the modules of a network give, and which of them are its blocks."""

from typing import Any

from torch import Tensor, nn

from xlearn.networks.network import Network, encoder_blocks


def block_paths(network: Network) -> dict[str, list[list[str]]]:
    """By modality the encoder's blocks from input to output, each a list of paths of modules.

    Parameters that are in no module of a block (class tokens, positions) are held in common whatever the structure.
    """
    return {
        name: [[path.removesuffix(".") for path in block if path.endswith(".")] for block in blocks]
        for name, blocks in encoder_blocks(network).items()
    }


def channel_axis(module: nn.Module, given: Tensor) -> int:
    """Where a module's output has its channels: second in pictures `[batch, channels, height, width]` and what Conv1d gives,
    else last.
    """
    return 1 if given.ndim == 4 or isinstance(module, nn.Conv1d) else given.ndim - 1


def first(value: Any) -> Tensor:
    """The tensor that a module's output is about: itself, or the first of a tuple."""
    return value if isinstance(value, Tensor) else first(value[0])


def with_first(value: Any, new: Tensor) -> Any:
    """The output with another tensor in the place of `first`."""
    if isinstance(value, Tensor):
        return new
    return like(value, [with_first(value[0], new), *value[1:]])


def like(value: Any, inner: list[Any]) -> Any:
    """A list or a tuple, with names or without."""
    return type(value)(*inner) if hasattr(value, "_fields") else type(value)(inner)
