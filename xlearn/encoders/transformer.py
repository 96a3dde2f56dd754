"""A small transformer over tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Sequences
from xlearn.data.modalities.text import TextSpec
from xlearn.encoders.token_numbers import Embedding, need_text, tokens
from xlearn.fusion.pooling import never_empty
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_heads, need_normalised, need_sizes


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + dense(norm(x))`: the pre-norm form (Xiong et al., ICML 2020)."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dense_norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """`x [batch, length, width]`; `seen bool [batch, 1, 1, length]`: tokens that may be attended to, at least one in every
        row.
        """
        parts = self.projections(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(queries, keys, values, seen, dropout)
        x = x + self._dropped(self.out(found.transpose(1, 2).flatten(2)))
        return x + self._dropped(self.dense(self.dense_norm(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class Transformer(nn.Module):
    """Tokens plus learned positions, pre-norm blocks, a last norm (Vaswani et al., NeurIPS 2017; GELU for ReLU).

    Reads `Sequences` of token numbers `[batch, length]`, gives a token for each, `[batch, length, width]`, and their mask.
    Padding is not attended to, and its tokens are zeros. `feedforward`: the inner width of the dense part.
    """

    def __init__(self, spec: TextSpec, *, width: int, layers: int, heads: int, feedforward: int, dropout: float = 0.3) -> None:
        super().__init__()
        spec = need_text(spec)
        need_sizes("encoder.text", width=width, layers=layers, heads=heads, feedforward=feedforward, dropout=dropout)
        need_heads("encoder.text", heads, width)
        need_normalised("encoder.text", f"width={width}", width)
        self.embedding = Embedding(spec.vocabulary, width, 0.03)
        self.positions = nn.Parameter(torch.empty(spec.length, width).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.width = width

    def forward(self, texts: Sequences) -> Tokens:
        x = self.dropout(self.embedding(texts.values) + self.positions[: texts.values.shape[1]])
        # Attention over nothing would be NaN: an empty text attends to its first position, and is masked below.
        seen = never_empty(texts.mask)[:, None, None]
        for block in self.blocks:
            x = block(x, seen)
        return tokens(self.norm(x), texts.mask)
