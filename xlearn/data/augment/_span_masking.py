"""Span masking: spans of tokens become unknown."""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from xlearn.data.augment import INSERTS_UNKNOWN, UNKNOWN, inputs_of
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declares

LONGEST = 10


@declares(INSERTS_UNKNOWN)
def span_masking(batch: Batch, generator: torch.Generator, *, share: float, mean_length: float) -> Batch:
    """Replace spans of tokens, `share` of each text, by the unknown token (number 1), but no padding.

    Lengths are geometric, `P(l) ~ (1 - p)^(l - 1)` for 1 <= l <= 10, with p such that their mean is `mean_length` (SpanBERT,
    Joshi et al., TACL 2020, section 3.1: p = 0.2, mean 3.8). Of a text with n tokens `floor(share n + u)` become unknown,
    `u ~ U[0, 1)`: on average exactly the share, however short the text.

    SpanBERT draws positions until enough tokens are covered, and masks whole words. Here the text is closed to a ring, rotated
    at random and divided into adjacent spans. Spans are masked in random order, and the last one is cut. So every token is
    masked with the same probability, whatever its position. Two spans may touch.

    For tokenisers in which number 1 is unknown, as those learned by xlearn. A batch without token numbers is returned
    unchanged. Raises `Problem` for `share` outside [0, 1) and `mean_length` outside [1, 5.5), 5.5 being the mean of equally
    likely lengths.
    """
    if not 0 <= share < 1:
        raise Problem(f"span_masking.share={share}: give a share in [0, 1), e.g. 0.15.")
    if not 1 <= mean_length < (1 + LONGEST) / 2:
        raise Problem(
            f"span_masking.mean_length={mean_length}: spans have at most {LONGEST} tokens. Give a mean of 1 or "
            f"more and below {(1 + LONGEST) / 2}, e.g. 3.8."
        )
    texts = inputs_of(batch, "text")
    if not isinstance(texts, Sequences) or texts.values.is_floating_point():
        return batch
    hidden = _hidden(texts.mask.sum(1).cpu(), texts.mask.shape[1], share, mean_length, generator).to(texts.mask.device)
    values = texts.values.masked_fill(hidden & texts.mask, UNKNOWN)
    return replace(batch, inputs={**batch.inputs, "text": Sequences(values, texts.mask)})


def _hidden(tokens: Tensor, size: int, share: float, mean_length: float, generator: torch.Generator) -> Tensor:
    """bool `[batch, size]`: the masked positions of texts with `tokens` (int64 `[batch]`) tokens. Padding may be True too."""
    drawn, order = torch.rand(2, len(tokens), size, generator=generator, dtype=torch.float64)
    turn, rounding = torch.rand(2, len(tokens), 1, generator=generator, dtype=torch.float64)
    tokens = tokens[:, None]
    lengths = torch.searchsorted(torch.tensor(_up_to(mean_length), dtype=torch.float64), drawn, right=True) + 1
    ends = lengths.cumsum(1)
    starts = ends - lengths
    # There are as many spans as positions, each at least one long: those beyond the end of the text have no tokens.
    sizes = (torch.minimum(ends, tokens) - starts).clamp_min(0)
    taken = order.argsort(1)
    in_order = sizes.gather(1, taken)
    before = torch.zeros_like(sizes).scatter(1, taken, in_order.cumsum(1) - in_order)
    places = (torch.arange(size) + (turn * tokens).long()) % tokens.clamp_min(1)
    stretch = torch.searchsorted(ends, places, right=True)
    # A token's rank in the order of masking: the tokens of earlier spans, and those before it in its own span.
    return before.gather(1, stretch) + places - starts.gather(1, stretch) < (share * tokens + rounding).long()


@lru_cache
def _up_to(mean_length: float) -> tuple[float, ...]:
    """`P(length <= l)` for l = 1 to 9: the geometric law that is truncated after 10 and has this mean."""
    low, high = 0.0, 1.0
    # The mean rises from 1 to 5.5 with the ratio of successive probabilities: halving 60 times leaves no double between.
    for _ in range(60):
        ratio = (low + high) / 2
        weights = [ratio**step for step in range(LONGEST)]
        mean = sum(length * weight for length, weight in enumerate(weights, start=1)) / sum(weights)
        low, high = (ratio, high) if mean < mean_length else (low, ratio)
    weights = [low**step for step in range(LONGEST)]
    return tuple(sum(weights[:length]) / sum(weights) for length in range(1, LONGEST))
