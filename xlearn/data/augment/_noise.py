"""Additive noise at a random signal-to-noise ratio."""

from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem


def noise(batch: Batch, generator: torch.Generator, *, low: float, high: float) -> Batch:
    """Add noise to each sound at a signal-to-noise ratio `s ~ U[low, high]` in decibel, drawn per example.

    Waves: `x + rms(x) 10^(-s / 20) n`, white, `n ~ N(0, 1)`, rms over the valid samples.

    Log-mel frames: `log(exp(x) + mean(exp(x)) 10^(-s / 10) e)`, `e ~ Exp(1)`, the law of the power of Gaussian noise in one
    band and frame, mean over all valid frames and bands. x is normalised per band, so the noise has the sound's average
    spectrum, and the ratio holds up to the scale that x was divided by. (For frames that are not logarithms of power, such as
    cepstra, this is merely a perturbation.) Padding stays zero.
    """
    given = batch.inputs.get("audio")
    if given is None:
        return batch
    if not low <= high:
        raise Problem(f"augment.noise.low={low} is above high={high}. Give decibels in ascending order, as low=10 high=30.")
    assert isinstance(given, Sequences)
    values, mask = given
    ratio = (low + (high - low) * torch.rand(len(values), generator=generator)).to(values.device)
    noisy = _on_waves(values, mask, ratio, generator) if values.ndim == 2 else _on_frames(values, mask, ratio, generator)
    return replace(batch, inputs={**batch.inputs, "audio": Sequences(noisy, mask)})


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
