"""Tokens to one vector per modality, and whether the modality is there."""

from torch import Tensor

from xlearn.network import Tokens


def pool(tokens: Tokens) -> tuple[Tensor, Tensor | None]:
    """Masked mean over tokens `[batch, width]`, and `present bool [batch]` (None: everywhere). Absent gives zeros."""
    values, mask = tokens
    if mask is None:
        return (values.squeeze(1) if values.shape[1] == 1 else values.mean(1)), None
    weight = mask.to(values.dtype).unsqueeze(-1)
    return (values * weight).sum(1) / weight.sum(1).clamp_min(1), mask.any(1)
