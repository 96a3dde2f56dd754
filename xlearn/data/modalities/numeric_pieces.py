"""Columns of numbers as pieces to mask and reconstruct."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from xlearn.data.columns import Inputs
from xlearn.data.modalities.pieces import Cut, Noise


@dataclass(frozen=True)
class Columns:
    """The first `places` columns, of numbers, each a piece. Missing values (NaN) are not reconstructed; masked ones become
    missing. Other columns stay.
    """

    places: int
    size: Literal[1] = 1

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Tensor)
        numbers = given[:, : self.places]
        return Cut(numbers.nan_to_num().unsqueeze(2), ~numbers.isnan().unsqueeze(2))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Tensor)
        return self._with(given, given[:, : self.places].masked_fill(hidden, torch.nan))

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        """N(0, deviation^2); missing values stay missing."""
        assert isinstance(given, Tensor)
        numbers = given[:, : self.places]
        return self._with(given, numbers + noise.deviation * torch.randn(numbers.shape).to(given.device))

    def _with(self, given: Tensor, numbers: Tensor) -> Tensor:
        return torch.cat([numbers, given[:, self.places :]], dim=1) if self.places < given.shape[1] else numbers
