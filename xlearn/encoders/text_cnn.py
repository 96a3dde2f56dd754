"""A convolutional network over tokens: learned phrases, at any position."""

import torch
from torch import Tensor, nn

from xlearn.data.columns import Sequences
from xlearn.data.modalities.text import TextSpec
from xlearn.encoders.token_numbers import Embedding, need_text
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_sizes
from xlearn.runtime.errors import Problem


class Phrases(nn.Module):
    """Convolutions of several lengths side by side, ReLU, and the maximum over the text: `[batch, filters * len(kernels)]`."""

    def __init__(self, embedding: int, filters: int, kernels: list[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, filters, size, padding=size - 1) for size in kernels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x [batch, length, embedding]`, zero where `mask bool [batch, length]` is False."""
        return torch.cat([self._largest(each, x.transpose(1, 2), mask) for each in self.convolutions], 1)

    def _largest(self, convolution: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """`[batch, filters]`; position i of the result is the phrase that ends at token i."""
        found = convolution(x)[:, :, : mask.shape[1]].relu()
        # After the ReLU no value is below zero, so phrases in padding are never above the maximum.
        return (found * mask.unsqueeze(1)).amax(2)


class TextCnn(nn.Module):
    """Embedding - convolutions over `kernels` neighbouring tokens, side by side - ReLU - maximum over the text (Kim, EMNLP
    2014) - one token `[batch, 1, filters * len(kernels)]`.

    Reads `Sequences` of token numbers `[batch, length]`. Padding is zero before the convolutions and never the maximum; an
    example with only padding gives zeros under a False mask. Parameters:
    `vocabulary * embedding + sum_k (k * embedding + 1) * filters`.
    """

    def __init__(self, spec: TextSpec, *, embedding: int, filters: int, kernels: list[int], dropout: float = 0.3) -> None:
        super().__init__()
        spec = need_text(spec)
        need_sizes("encoder.text", embedding=embedding, filters=filters, dropout=dropout)
        if not kernels or min(kernels) < 1:
            raise Problem(f"encoder.text.kernels={list(kernels)}: give at least one length of phrases, each 1 or more.")
        self.embedding = Embedding(spec.vocabulary, embedding, 0.1)
        self.phrases = Phrases(embedding, filters, kernels)
        self.dropout = nn.Dropout(dropout)
        self.width = filters * len(kernels)

    def forward(self, texts: Sequences) -> Tokens:
        there = texts.mask.any(1, keepdim=True)
        x = self.dropout(self.embedding(texts.values)) * texts.mask.unsqueeze(-1)
        return Tokens(self.dropout(self.phrases(x, texts.mask)).masked_fill(~there, 0).unsqueeze(1), there)
