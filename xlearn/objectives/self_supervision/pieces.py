"""Pieces of inputs to mask and reconstruct: image patches, tokens, stretches of sound frames, table columns."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from xlearn.data.columns import Inputs, Sequences
from xlearn.data.task import ImageSpec, TextSpec


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


@dataclass(frozen=True)
class Patches:
    """Squares of `patch` pixels a side, row by row from the top left, as `pixel / 127.5 - 1`.

    Strips narrower than a patch at the right and at the bottom are never masked or reconstructed. Masked patches are filled
    with the mean colour of the batch's images with a masked patch.
    """

    spec: ImageSpec
    patch: int

    @property
    def rows(self) -> int:
        return self.spec.height // self.patch

    @property
    def columns(self) -> int:
        return self.spec.width // self.patch

    @property
    def places(self) -> int:
        return self.rows * self.columns

    @property
    def size(self) -> int:
        return self.spec.channels * self.patch**2

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Tensor)
        whole = given[:, :, : self.rows * self.patch, : self.columns * self.patch].float() / 127.5 - 1
        squares = whole.unflatten(3, (self.columns, self.patch)).unflatten(2, (self.rows, self.patch))
        content = squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return Cut(content, torch.ones_like(content, dtype=torch.bool))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Tensor)
        squares = hidden.unflatten(1, (self.rows, self.columns))
        pixels = squares.repeat_interleave(self.patch, 1).repeat_interleave(self.patch, 2)
        pixels = functional.pad(pixels, (0, given.shape[3] - pixels.shape[2], 0, given.shape[2] - pixels.shape[1]))
        some = hidden.any(1)
        mean = (given.float().mean((2, 3)) * some[:, None]).sum(0) / some.sum().clamp_min(1)
        return torch.where(pixels[:, None], mean.round().to(given.dtype)[:, None, None], given)


@dataclass(frozen=True)
class Words:
    """Tokens, each a piece. Unknown tokens are not reconstructed; masked tokens become the unknown token."""

    spec: TextSpec

    @property
    def places(self) -> int:
        return self.spec.length

    @property
    def size(self) -> int:
        return self.spec.vocabulary

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Sequences)
        return Cut(given.values.long(), given.mask & (given.values != (-1 if self.spec.unknown is None else self.spec.unknown)))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Sequences) and self.spec.unknown is not None
        return Sequences(given.values.masked_fill(hidden, self.spec.unknown), given.mask)


@dataclass(frozen=True)
class Stretches:
    """Stretches of `frames` consecutive frames of a sound; the last may be shorter. Masked ones become 0, the mean."""

    bands: int
    frames: int
    longest: int

    @property
    def places(self) -> int:
        return -(-self.longest // self.frames)

    @property
    def size(self) -> int:
        return self.frames * self.bands

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Sequences)
        lacking = -given.values.shape[1] % self.frames
        content = functional.pad(given.values, (0, 0, 0, lacking)).unflatten(1, (-1, self.frames)).flatten(2)
        known = functional.pad(given.mask, (0, lacking)).unflatten(1, (-1, self.frames))
        return Cut(content, known.repeat_interleave(self.bands, 2))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Sequences)
        frames = hidden.repeat_interleave(self.frames, 1)[:, : given.values.shape[1], None]
        return Sequences(given.values.masked_fill(frames, 0), given.mask)


@dataclass(frozen=True)
class Columns:
    """Numeric columns, each a piece. Missing values (NaN) are not reconstructed; masked ones become missing."""

    places: int
    size: Literal[1] = 1

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Tensor)
        return Cut(given.nan_to_num().unsqueeze(2), ~given.isnan().unsqueeze(2))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Tensor)
        return given.masked_fill(hidden, torch.nan)


def drawn(there: Tensor, count: Tensor) -> Tensor:
    """A random mask, bool as `there [batch, n]`: `count int64 [batch]` of the True entries of every row, uniformly. Drawn from
    torch's global generator.
    """
    # False entries are sorted last.
    scores = torch.rand(there.shape).to(there.device).masked_fill(~there, 2.0)
    return (scores.argsort(1).argsort(1) < count[:, None]) & there
