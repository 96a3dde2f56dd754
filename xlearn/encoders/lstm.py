"""An LSTM over tokens."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from xlearn.data.columns import Sequences
from xlearn.data.modalities.text import TextSpec
from xlearn.encoders.token_numbers import Embedding, need_text
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes
from xlearn.runtime.errors import Problem


class Layer(nn.LSTM):
    """One layer, one or two directions, that never reads padding.

    An `nn.LSTM` with the same parameter names, but called with lengths instead of packed sequences.
    """

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # pyrefly: ignore[bad-override]  (see above)
        """States `[batch, length, width]`, zero in padding, and the last `[batch, width]`, of `x [batch, length, before]`.

        `lengths int64 [batch]`, on the CPU, at least 1 each and as long as `x` for the longest.
        """
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = super().forward(packed)
        padded, _ = pad_packed_sequence(states, batch_first=True)
        return padded, last.transpose(0, 1).flatten(1)


class Lstm(nn.Module):
    """Embedding - LSTM layers - one token `[batch, 1, width]` (Hochreiter & Schmidhuber, 1997).

    Reads `Sequences` of token numbers `[batch, length]`. `pooling` of the top layer's states: `last` is the state after the
    last token (of the backward direction: after the first), `max` the largest value of every unit over all tokens.
    `bidirectional`: half of `width` reads from right to left. Dropout precedes every layer. Padding is never read; an example
    with only padding gives zeros under a False mask.
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
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        spec = need_text(spec)
        need_sizes("encoder.text", embedding=embedding, width=width, layers=layers, dropout=dropout)
        if bidirectional and width % 2:
            raise Problem(f"encoder.text.width={width}: two directions share it. Give an even number, or bidirectional=false.")
        self.embedding = Embedding(spec.vocabulary, embedding, 0.1)
        each = width // 2 if bidirectional else width
        self.layers = nn.ModuleList(
            Layer(width if position else embedding, each, batch_first=True, bidirectional=bidirectional)
            for position in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.pooling, self.width = pooling, width

    def forward(self, texts: Sequences) -> Tokens:
        there = texts.mask.any(1, keepdim=True)
        # The lengths must be on the CPU; an empty text is read as one padding token, and masked below.
        lengths = texts.mask.sum(1).clamp_min(1).cpu()
        states, last = self.embedding(texts.values)[:, : int(lengths.max())], None
        for layer in self.layers:
            states, last = layer(self.dropout(states), lengths)
        assert last is not None
        if self.pooling == "max":
            behind = ~texts.mask[:, : states.shape[1], None]
            last = states.masked_fill(behind, torch.finfo(states.dtype).min).amax(1)
        return Tokens(last.masked_fill(~there, 0).unsqueeze(1), there)
