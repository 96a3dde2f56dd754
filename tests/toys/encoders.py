"""An encoder with weights of its own: fixed random directions of the pixels."""

from typing import Literal

import torch
from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.networks.network import Tokens


class Directions(nn.Module):
    """`weights`: `published`, or null for the default initialisation of torch."""

    width = 32

    def __init__(self, spec: ImageSpec, *, weights: Literal["published"] | None = "published", rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate
        count = spec.channels * spec.height * spec.width
        self.blocks = nn.ModuleList([nn.Linear(count, self.width)])
        if weights == "published":
            drawn = torch.randn(self.width, count, generator=torch.Generator().manual_seed(0)) / count**0.5
            with torch.no_grad():
                self.blocks[0].weight.copy_(drawn)

    def forward(self, images: Tensor) -> Tokens:
        return Tokens(self.blocks[0](images.flatten(1).float() / 255).relu().unsqueeze(1))
