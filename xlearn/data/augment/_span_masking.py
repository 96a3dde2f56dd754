"""Stretches of unknown tokens."""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from xlearn.data.augment._token_dropout import UNKNOWN
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem

LONGEST = 10


def span_masking(batch: Batch, generator: torch.Generator, *, share: float, mean_length: float) -> Batch:
    """Stretches of tokens become the unknown one (number 1), `share` of each text; padding never does.

    Lengths are geometric, `P(l) ~ (1 - p)^(l - 1)` for 1 <= l <= 10, p such that their mean is `mean_length` (SpanBERT, Joshi
    et al., TACL 2020, section 3.1: p = 0.2, mean 3.8). Of a text with n tokens `floor(share n + u)` become unknown, `u ~ U[0,
    1)`: on average exactly the share, however short the text. Where SpanBERT draws places until enough is covered, and whole
    words, the text, closed to a ring and turned at random, is laid out with stretches side by side, and they are taken in
    random order, the last one cut: so every token is equally likely to be hidden, whatever its place. Two stretches may touch.
    For tokenisers whose number 1 is unknown, as those learned here; a batch without token numbers is returned as it is.
    Raises `Problem` for `share` outside [0, 1) and `mean_length` outside [1, 5.5), 5.5 being the mean of equally likely
    lengths.
    """
    if not 0 <= share < 1:
        raise Problem(f"span_masking.share={share}: give a share in [0, 1), e.g. 0.15.")
    if not 1 <= mean_length < (1 + LONGEST) / 2:
        raise Problem(
            f"span_masking.mean_length={mean_length}: stretches have at most {LONGEST} tokens. Give a mean of 1 or "
            f"more and below {(1 + LONGEST) / 2}, e.g. 3.8."
        )
    texts = batch.inputs.get("text")
    if not isinstance(texts, Sequences) or "text" in batch.encoded or texts.values.is_floating_point():
        return batch
    hidden = _hidden(texts.mask.sum(1).cpu(), texts.mask.shape[1], share, mean_length, generator).to(texts.mask.device)
    values = texts.values.masked_fill(hidden & texts.mask, UNKNOWN)
    return replace(batch, inputs={**batch.inputs, "text": Sequences(values, texts.mask)})


def _hidden(tokens: Tensor, size: int, share: float, mean_length: float, generator: torch.Generator) -> Tensor:
    """bool `[batch, size]`: which places of texts of so many `tokens` (int64 `[batch]`) are hidden; more lie behind them."""
    drawn, order = torch.rand(2, len(tokens), size, generator=generator, dtype=torch.float64)
    turn, rounding = torch.rand(2, len(tokens), 1, generator=generator, dtype=torch.float64)
    tokens = tokens[:, None]
    lengths = torch.searchsorted(torch.tensor(_up_to(mean_length), dtype=torch.float64), drawn, right=True) + 1
    ends = lengths.cumsum(1)
    starts = ends - lengths
    # As many stretches as places, each at least one long, reach beyond the end: there they have no tokens.
    sizes = (torch.minimum(ends, tokens) - starts).clamp_min(0)
    taken = order.argsort(1)
    in_order = sizes.gather(1, taken)
    before = torch.zeros_like(sizes).scatter(1, taken, in_order.cumsum(1) - in_order)
    places = (torch.arange(size) + (turn * tokens).long()) % tokens.clamp_min(1)
    stretch = torch.searchsorted(ends, places, right=True)
    # Every token's turn to be hidden: what the stretches before its own have, and what stands before it there.
    return before.gather(1, stretch) + places - starts.gather(1, stretch) < (share * tokens + rounding).long()


@lru_cache
def _up_to(mean_length: float) -> tuple[float, ...]:
    """`P(length <= l)` for l = 1 to 9: the geometric law that is cut off behind 10 and has this mean."""
    low, high = 0.0, 1.0
    # The mean rises from 1 to 5.5 with the ratio of successive probabilities: halving 60 times leaves no double between.
    for _ in range(60):
        ratio = (low + high) / 2
        weights = [ratio**step for step in range(LONGEST)]
        mean = sum(length * weight for length, weight in enumerate(weights, start=1)) / sum(weights)
        low, high = (ratio, high) if mean < mean_length else (low, ratio)
    weights = [low**step for step in range(LONGEST)]
    return tuple(sum(weights[:length]) / sum(weights) for length in range(1, LONGEST))
