"""Tokens to vectors, and which modalities are present. Masked values are set to zero before they are used."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem


def pool(tokens: Tokens) -> tuple[Tensor, Tensor | None]:
    """Masked mean over tokens `[batch, width]`, and `present bool [batch]` (None: everywhere). Zeros without a valid token."""
    values, mask = tokens
    if mask is None and values.shape[1] > 0:
        return (values.squeeze(1) if values.shape[1] == 1 else values.mean(1)), None
    mask = values.new_ones(values.shape[:2], dtype=torch.bool) if mask is None else mask
    # Filled, not multiplied: zero times an infinite number is not zero.
    total = values.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp_min(1).to(total.dtype), mask.any(1)


def pool_all(tokens: Mapping[str, Tokens], widths: Mapping[str, int]) -> tuple[dict[str, Tensor], Tensor]:
    """The mean token of every modality of `widths` in alphabetical order, and `present bool [batch, modalities]`.

    Vectors are `[batch, width of the modality]`, zeros where an example or the whole batch lacks the modality.
    """
    like = _any_values(tokens, widths)
    vectors: dict[str, Tensor] = {}
    present: list[Tensor] = []
    for name in sorted(widths):
        nothing = Tokens(like.new_zeros(len(like), 0, widths[name]))
        vectors[name], there = pool(tokens.get(name, nothing))
        present.append(like.new_ones(len(like), dtype=torch.bool) if there is None else there)
    return vectors, torch.stack(present, dim=1)


def complete(tokens: Mapping[str, Tokens], widths: Mapping[str, int]) -> dict[str, tuple[Tensor, Tensor]]:
    """`values [batch, length >= 1, width]` and `mask bool [batch, length]` of every modality, in alphabetical order.

    Values are zero where the mask is False. A modality without tokens gets one, under a False mask.
    """
    like = _any_values(tokens, widths)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name in sorted(widths):
        values, mask = tokens.get(name, Tokens(like.new_zeros(len(like), 0, widths[name])))
        if values.shape[1] == 0:
            values = values.new_zeros(len(values), 1, widths[name])
            mask = values.new_zeros(len(values), 1, dtype=torch.bool)
        elif mask is None:
            mask = values.new_ones(values.shape[:2], dtype=torch.bool)
        else:
            values = values.masked_fill(~mask.unsqueeze(-1), 0)
        found[name] = values, mask
    return found


def _any_values(tokens: Mapping[str, Tokens], widths: Mapping[str, int]) -> Tensor:
    """Values of some modality, from which the number of examples, type and device are taken."""
    if not tokens or not tokens.keys() <= widths.keys():
        given = ", ".join(sorted(tokens)) or "none"
        known = ", ".join(sorted(widths))
        raise Problem(f"modalities of a batch: {given}. The fusion was built for {known}; give at least one, and no other.")
    return next(iter(tokens.values())).values


def never_empty(mask: Tensor) -> Tensor:
    """`mask bool [batch, length]` with the first token valid in examples that have no valid token."""
    return torch.cat([mask[:, :1] | ~mask.any(1, keepdim=True), mask[:, 1:]], dim=1)


def total(parts: Tensor, weights: Tensor) -> Tensor:
    """`sum_m weight_m part_m` `[batch, width]` of `parts [batch, modalities, width]`, `weights [batch, modalities]`."""
    return (parts * weights.unsqueeze(-1)).sum(1)


def average(parts: Tensor, present: Tensor) -> Tensor:
    """`sum_m present_m part_m / sum_m present_m` of `parts [batch, modalities, width]`; zeros without any modality."""
    return total(parts, present) / present.sum(1, keepdim=True).clamp_min(1).to(parts.dtype)


def shares(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present modalities (`[batch, modalities, ...]`), exactly zero for the others.

    Without any modality all shares are zero. `present` is `bool [batch, modalities]`.
    """
    present = present.reshape(present.shape + (1,) * (scores.ndim - 2))
    # The lowest finite number, because the softmax of a row of -inf is NaN.
    return scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(1) * present
