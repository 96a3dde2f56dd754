"""A recurrent network over tokens."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from xlearn.columns import Sequences
from xlearn.encoders.token_numbers import Embedding, need_text
from xlearn.errors import Problem
from xlearn.network import Tokens
from xlearn.sizes import need_sizes
from xlearn.task import TextSpec


class Lstm(nn.Module):
    """Embedding - LSTM layers - one token `[batch, 1, width]` (Hochreiter & Schmidhuber, 1997).

    Reads `Sequences` of token numbers `[batch, length]`. `pooling` says what becomes of the top layer's states: `last` is
    the state after the last token (of the backward direction: after the first), `max` the largest value of every unit
    over all tokens. `bidirectional`: half of `width` reads from right to left. Dropout stands before every layer. Padding
    is never read; an example of nothing else has a False mask and zeros.
    """

    def __init__(
        self,
        spec: TextSpec,
        *,
        embedding: int,
        width: int,
        layers: int = 1,
        bidirectional: bool = True,
        pooling: Literal["last", "max"] = "max",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        spec = need_text(spec)
        need_sizes("encoder.text", embedding=embedding, width=width, layers=layers, dropout=dropout)
        if bidirectional and width % 2:
            raise Problem(f"encoder.text.width={width}: two directions share it. Give an even number, or bidirectional=false.")
        self.embedding = Embedding(spec.vocabulary, embedding, 0.1)
        each = width // 2 if bidirectional else width
        self.layers = nn.ModuleList(
            nn.LSTM(width if position else embedding, each, batch_first=True, bidirectional=bidirectional)
            for position in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.pooling, self.width = pooling, width

    def forward(self, texts: Sequences) -> Tokens:
        there = texts.mask.any(1, keepdim=True)
        # The lengths have to be on the CPU; a text of nothing is read as one padding token, and hidden below.
        lengths = texts.mask.sum(1).clamp_min(1).cpu()
        packed = pack_padded_sequence(self.embedding(texts.values), lengths, batch_first=True, enforce_sorted=False)
        last = packed.data
        for layer in self.layers:
            # Packed, the tensor has a row for every token that is there, and none of padding.
            packed, (state, _) = layer(packed._replace(data=self.dropout(packed.data)))
            last = state.transpose(0, 1).flatten(1)
        vector = last if self.pooling == "last" else _largest(packed)
        return Tokens(vector.masked_fill(~there, 0).unsqueeze(1), there)


def _largest(packed: PackedSequence) -> Tensor:
    """`[batch, width]`: the largest value of every unit over the tokens that are there."""
    padded, _ = pad_packed_sequence(packed, batch_first=True, padding_value=torch.finfo(packed.data.dtype).min)
    return padded.amax(1)
