"""Columns of examples: tensors, or concatenated sequences of different lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Sequences(NamedTuple):
    """A batch of sequences, padded with zeros: `values [batch, length, ...]` and `mask bool [batch, length]`."""

    values: Tensor
    mask: Tensor

    def __len__(self) -> int:  # of the batch, not of the tuple
        return len(self.values)


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths without padding: sequence i is `values[offsets[i]:offsets[i + 1]]`.

    `values [total, ...]` (sound, frames, token numbers), `offsets int64 [n + 1]` from 0 to total, not descending.
    """

    values: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """int64 `[n]`."""
        return self.offsets.diff()

    @staticmethod
    def of(sequences: list[Tensor]) -> "Ragged":
        """From tensors `[length, ...]`, at least one."""
        return Ragged(torch.cat(sequences), offsets([len(each) for each in sequences]))

    def subset(self, index: Tensor) -> "Ragged":
        """The sequences at `index` (int64 `[m]`), in that order."""
        lengths = self.lengths[index]
        starts = offsets(lengths)
        # By new value: the start of its sequence here, less its start in the new values.
        shift = torch.repeat_interleave(self.offsets[:-1][index] - starts[:-1], lengths)
        return Ragged(self.values.index_select(0, torch.arange(len(shift)) + shift), starts)

    def take(self, index: Tensor) -> Sequences:
        """The sequences at `index`, padded to the longest of them (at least 1). No loop over examples."""
        lengths = self.lengths[index]
        places = torch.arange(max(int(lengths.max()), 1))
        mask = places < lengths[:, None]
        if len(self.values) == 0:  # nothing to gather from
            return Sequences(self.values.new_zeros(*mask.shape, *self.values.shape[1:]), mask)
        rows = (self.offsets[:-1][index, None] + places).clamp_max(len(self.values) - 1)
        values = self.values.index_select(0, rows.flatten()).reshape(*rows.shape, *self.values.shape[1:])
        return Sequences(values.masked_fill(~mask.reshape(*mask.shape, *[1] * (values.ndim - 2)), 0), mask)


def offsets(lengths: list[int] | Tensor) -> Tensor:
    """int64 `[n + 1]`: the start and end positions of concatenated sequences of these lengths."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), torch.as_tensor(lengths, dtype=torch.int64).cumsum(0)])


# The inputs of an encoder, and the column of a modality that a task keeps.
Inputs = Tensor | Sequences
Column = Tensor | Ragged


def subset(column: Column, index: Tensor) -> Column:
    return column.subset(index) if isinstance(column, Ragged) else column.index_select(0, index)


def take(column: Column, index: Tensor) -> Inputs:
    return column.take(index) if isinstance(column, Ragged) else column.index_select(0, index)


def join(columns: Sequence[Column]) -> Column:
    """The rows of all columns of one kind, one after the other."""
    if isinstance(columns[0], Ragged):
        ragged = [each for each in columns if isinstance(each, Ragged)]
        return Ragged(torch.cat([each.values for each in ragged]), offsets(torch.cat([each.lengths for each in ragged])))
    return torch.cat([each for each in columns if isinstance(each, Tensor)])
