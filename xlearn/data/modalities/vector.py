"""Vectors: features of a frozen network, and what is done to any numbers without an order."""

from dataclasses import dataclass

import torch
from torch import Tensor

from xlearn.data.columns import Inputs, Sequences
from xlearn.data.modalities import Mixture, Modality


@dataclass(frozen=True)
class VectorSpec(Modality):
    """Features of a frozen network, `float [n, width]`, computed once per data set. `of` names the network.

    They have no `fit`: the `format` of an encoder computes them.
    """

    width: int
    of: str

    noise_unit = "standard deviations of the column"

    @property
    def learned(self) -> bool:
        return False

    def mix(self, one: Tensor, other: Tensor, mixture: Mixture) -> Tensor:
        return mixture(one, other)

    def hide(self, given: Inputs, share: float, generator: torch.Generator) -> Inputs:
        return dropped(given, share, generator)

    def noise(self, values: Tensor, level: float, generator: torch.Generator) -> Tensor:
        return noisy(values, level, generator)


# What a frozen encoder of this run made of its inputs: tokens or vectors.
ENCODED = VectorSpec(0, "a frozen encoder")


def dropped(given: Inputs, share: float, generator: torch.Generator) -> Inputs:
    """Dropout of numbers with probability `share`, the others divided by `1 - share`; missing values (NaN) stay missing."""
    if isinstance(given, Sequences):
        return Sequences(dropped_numbers(given.values, share, generator), given.mask)
    return dropped_numbers(given, share, generator)


def dropped_numbers(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    kept = 1 - share
    # NaN times 0 stays NaN.
    return values * ((torch.rand(values.shape, generator=generator) < kept) / kept).to(values.device, values.dtype)


def noisy(values: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of `level` standard deviations of all values; none of a single value, which has no deviation."""
    drawn = torch.randn(values.shape, generator=generator)
    deviation = values.nan_to_num().std() if values.numel() > 1 else 0.0
    return values + level * deviation * drawn
