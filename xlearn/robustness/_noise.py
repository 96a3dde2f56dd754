"""Noise in a modality."""

from dataclasses import replace

import torch

from xlearn.data.columns import Column, Ragged
from xlearn.data.task import Examples
from xlearn.runtime.errors import Problem

UNKNOWN = 1  # the token that a tokeniser gives to what it does not know


def noise(examples: Examples, level: float, generator: torch.Generator, *, modality: str, levels: list[float]) -> Examples:
    """Pixels: plus Gaussian noise of `level * 255`, clamped to 0..255. Texts: `level` of the tokens become number 1,
    which is unknown in tokenisers learned here; others are refused.
    Sound, numbers and features: plus Gaussian noise of `level` standard deviations of the column.
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
    # Not the data set's own inputs any more: what was computed from those must not be taken for these.
    whole = examples.whole and examples.whole.only(*(name for name in examples.whole.inputs if name != modality))
    return replace(examples, inputs={**examples.inputs, modality: made}, whole=whole)


def unit(examples: Examples, modality: str) -> str:
    """What a level of 1 stands for."""
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
