"""No trunk."""

from torch import Tensor, nn


class NoTrunk(nn.Module):
    """Heads read the output of the fusion; no parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, fused: Tensor) -> Tensor:
        return fused
