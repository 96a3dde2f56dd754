"""Stored pixels to normalised inputs of image networks, for the whole batch and on the device."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.encoders.layout import channels_last


class Pixels(nn.Module):
    """Pixels 0..255 (uint8, or float after an augmentation) to normalised floats.

    `(x / 255 - mean) / std`, grey repeated to `channels`, sides resized to `size` when given. The result is laid
    out channels-last (see `channels_last`).
    """

    def __init__(
        self,
        mean: float | list[float] = 0.5,
        std: float | list[float] = 0.5,
        channels: int | None = None,
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        means, stds = torch.as_tensor(mean).reshape(-1, 1, 1), torch.as_tensor(std).reshape(-1, 1, 1)
        # Constants, no parameters: they follow the device but are neither saved nor carried over.
        self.register_buffer("scale", 1 / (255 * stds), persistent=False)
        self.register_buffer("shift", -means / stds, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = channels_last(images)
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False, antialias=True)
        return torch.addcmul(self.shift, x, self.scale)
