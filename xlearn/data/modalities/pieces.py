"""Pieces of inputs to mask and reconstruct: what a modality's `pieces` gives, and what a method asks of it."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from xlearn.data.columns import Inputs


class Cut(NamedTuple):
    """The pieces of a batch: `content float [batch, pieces, size]`, and `known`, bool of the same shape, False for missing
    numbers; of texts `content int64 [batch, pieces]`, `known bool [batch, pieces]`.
    """

    content: Tensor
    known: Tensor

    @property
    def there(self) -> Tensor:
        """Which pieces have a known number, `bool [batch, pieces]`."""
        return self.known.any(2) if self.known.ndim == 3 else self.known


class PieceOptions(NamedTuple):
    """What a method wants: its name for messages, the side of a patch (None: by the size of the images), the frames of a
    stretch, and whether pieces are masked.
    """

    method: str
    patch: int | None
    frames: int
    masks: bool


class Noise(NamedTuple):
    """Gaussian noise of a standard deviation, for sounds at `low` to `high` decibel; `share` of the tokens become unknown."""

    share: float
    deviation: float
    low: float
    high: float


class Pieces(Protocol):
    """Cuts inputs of one modality into at most `places` pieces of `size` numbers, or of one token of a vocabulary of `size`."""

    @property
    def places(self) -> int: ...

    @property
    def size(self) -> int: ...

    def cut(self, given: Inputs) -> Cut:
        """The pieces of the inputs of a batch."""
        ...

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        """The inputs with the pieces in the mask `hidden bool [batch, pieces]` replaced by an uninformative value."""
        ...

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        """The inputs with noise, drawn from torch's global generator. `there bool [batch, pieces]`: as in `Cut`."""
        ...


def drawn(there: Tensor, count: Tensor) -> Tensor:
    """A random mask, bool as `there [batch, n]`: `count int64 [batch]` of the True entries of every row, uniformly. Drawn from
    torch's global generator.
    """
    # False entries are sorted last.
    scores = torch.rand(there.shape).to(there.device).masked_fill(~there, 2.0)
    return (scores.argsort(1).argsort(1) < count[:, None]) & there
