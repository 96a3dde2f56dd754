"""MixVal: whether mixed target inputs are predicted as their dominant example."""

import math

import torch
from torch import Tensor

from xlearn.selection import Seen

# The share of the dominant example in a mixed one.
LAMBDA = 0.55
# The index or label of a missing partner.
NONE = -1


def mixval(seen: Seen) -> float:
    """The mean, in [0, 1], of two shares of probes `0.55 x_i + 0.45 x_j` that are predicted as the pseudo-label of x_i, the
    dominant example: `inter` probes mix examples with different pseudo-labels, `intra` with the same (Hu et al., NeurIPS 2023).

    Reads `seen.mixed_logits`: the caller finds partners with `pairs`, and passes the logits of the probes and, as `*_labels`,
    the pseudo-labels of x_i, -1 without a partner; a kind without any partner may be left out. The paper ranks candidates by
    each share and averages the ranks. The mean of the shares needs no other candidates, so it compares checkpoints and runs.
    A share without probes is 0, so that a network that predicts a single class (no `inter` probes) is not selected; skada's
    scorer leaves such a share out, and is otherwise the same. Not finite: -inf.
    """
    if seen.mixed_logits is None:
        raise ValueError("mixval needs the logits of mixed inputs")
    mixed = seen.mixed_logits
    shares = [_share(mixed[kind], mixed[f"{kind}_labels"]) if kind in mixed else 0.0 for kind in ("inter", "intra")]
    return sum(shares) / 2 if bool(seen.target_logits.isfinite().all()) else -math.inf


def _share(logits: Tensor, labels: Tensor) -> float:
    probes = labels != NONE
    logits, labels = logits[probes], labels[probes]
    if not bool(logits.isfinite().all()):
        return -math.inf
    return float((logits.argmax(1) == labels).double().mean()) if len(labels) else 0.0


def pairs(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The partners `(inter, intra)`, both int64 `[m]`, of the examples with these logits `[m, classes]`: one at random among
    those with another pseudo-label, and one among the others with the same; -1 where there is none.
    """
    labels = logits.argmax(1)
    order = labels.argsort(stable=True)  # sort by pseudo-label, so that equal ones are adjacent
    counts = labels.bincount(minlength=logits.shape[1])
    count, first = counts[labels], (counts.cumsum(0) - counts)[labels]
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    others = len(labels) - count
    inter = order[(first + count + _below(others, generator)) % len(labels)]
    intra = order[first + (place - first + 1 + _below(count - 1, generator)) % count]
    return inter.masked_fill(others == 0, NONE), intra.masked_fill(count == 1, NONE)


def _below(limits: Tensor, generator: torch.Generator) -> Tensor:
    """Whole numbers from 0 to below each limit; 0 for a limit of 0."""
    return (torch.rand(len(limits), generator=generator, dtype=torch.float64) * limits).long()
