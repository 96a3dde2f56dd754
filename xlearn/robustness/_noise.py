"""Noise in one modality of the test examples."""

from dataclasses import replace

import torch

from xlearn.data.columns import Column, Ragged
from xlearn.data.task import Examples
from xlearn.runtime.errors import Problem

UNKNOWN = 1  # the number of the unknown token


def noise(examples: Examples, level: float, generator: torch.Generator, *, modality: str, levels: list[float]) -> Examples:
    """Add noise to `modality`. Pixels: Gaussian noise with standard deviation `level * 255`, clamped to 0..255. Texts: the
    share `level` of the tokens becomes the unknown token 1 of tokenisers trained by xlearn; a run with another is refused.
    Sound, numbers and features: Gaussian noise of `level` standard deviations of the column.
    """
    if level < 0:
        raise Problem(f"robustness.noise.levels={list(levels)}: give 0 or more.")
    if modality not in examples.inputs:
        raise Problem(f"robustness.noise.modality={modality}: the target has {', '.join(sorted(examples.inputs))}.")
    if level == 0:
        return examples
    column = examples.inputs[modality]
    values = column.values if isinstance(column, Ragged) else column
    spoiled = _spoiled(values, level, generator)
    made: Column = Ragged(spoiled, column.offsets) if isinstance(column, Ragged) else spoiled
    # The inputs differ from the data set's, so its cached encoder outputs must not be used for them.
    whole = examples.whole and examples.whole.only(*(name for name in examples.whole.inputs if name != modality))
    return replace(examples, inputs={**examples.inputs, modality: made}, whole=whole)


def unit(examples: Examples, modality: str) -> str:
    """The unit of a level, in words."""
    column = examples.inputs[modality]
    dtype = (column.values if isinstance(column, Ragged) else column).dtype
    if dtype == torch.uint8:
        return "of the range of a pixel"
    return "standard deviations of the column" if dtype.is_floating_point else "of the tokens made unknown"


def _spoiled(values: torch.Tensor, level: float, generator: torch.Generator) -> torch.Tensor:
    if values.dtype == torch.uint8:
        drawn = torch.randn(values.shape, generator=generator) * (level * 255)
        return (values + drawn).round().clamp(0, 255).byte()
    if not values.is_floating_point():
        return values.masked_fill(torch.rand(values.shape, generator=generator) < level, UNKNOWN)
    drawn = torch.randn(values.shape, generator=generator)
    return values + level * values.nan_to_num().std() * drawn
