"""Additive noise at a random signal-to-noise ratio."""

from dataclasses import replace

import torch

from xlearn.data.augment import inputs_of
from xlearn.data.columns import Sequences
from xlearn.data.modalities.sound_noise import noisy_sounds
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
    given = inputs_of(batch, "audio")
    if given is None:
        return batch
    if not low <= high:
        raise Problem(f"augment.noise.low={low} is above high={high}. Give decibels in ascending order, as low=10 high=30.")
    assert isinstance(given, Sequences)
    return replace(batch, inputs={**batch.inputs, "audio": noisy_sounds(given, generator, low, high)})
