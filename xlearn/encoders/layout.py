"""The memory layout of images."""

import torch
from torch import Tensor


def channels_last(pictures: Tensor) -> Tensor:
    """`[batch, channels, height, width]` in single precision, channels-last in memory where possible: convolutions on the CPU
    take 0.65 to 0.77 of the time. Within `torch.func.vmap` over tasks torch refuses this layout, and the layout stays
    unchanged.
    """
    try:
        return pictures.to(torch.float32, memory_format=torch.channels_last)
    except RuntimeError:
        return pictures.to(torch.float32)
