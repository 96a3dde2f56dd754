"""Additive noise in sounds, waves or log-mel frames, at a random signal-to-noise ratio."""

import torch
from torch import Tensor

from xlearn.data.columns import Sequences


def noisy_sounds(given: Sequences, generator: torch.Generator, low: float, high: float) -> Sequences:
    """Noise at a ratio `s ~ U[low, high]` in decibel, drawn per example; the formulas are those of `augment=noise`."""
    values, mask = given
    ratio = (low + (high - low) * torch.rand(len(values), generator=generator)).to(values.device)
    noisy = _on_waves(values, mask, ratio, generator) if values.ndim == 2 else _on_frames(values, mask, ratio, generator)
    return Sequences(noisy, mask)


def _on_waves(values: Tensor, mask: Tensor, ratio: Tensor, generator: torch.Generator) -> Tensor:
    power = values.square().sum(1) / mask.sum(1).clamp_min(1)
    drawn = torch.randn(values.shape, generator=generator).to(values.device)
    return values + (power.sqrt() * 10 ** (-ratio / 20))[:, None] * drawn * mask


def _on_frames(values: Tensor, mask: Tensor, ratio: Tensor, generator: torch.Generator) -> Tensor:
    there = mask[:, :, None]
    # Relative to the largest, so that no exponential overflows, whatever the frames' scale.
    largest = values.masked_fill(~there, -torch.inf).amax((1, 2), keepdim=True).nan_to_num(neginf=0)
    power = (values - largest).exp() * there
    mean = power.sum((1, 2)) / (mask.sum(1) * values.shape[2]).clamp_min(1)
    drawn = -torch.rand(values.shape, generator=generator).to(values.device).clamp_min(1e-12).log()
    added = power + (mean * 10 ** (-ratio / 10))[:, None, None] * drawn
    return (added.clamp_min(1e-30).log() + largest).masked_fill(~there, 0)
