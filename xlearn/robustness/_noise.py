"""Noise in one modality of the test examples."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from xlearn.data.columns import Column, Ragged, join, subset
from xlearn.data.task import Examples
from xlearn.robustness import levels_in
from xlearn.runtime.errors import Problem

Noise = Callable[[Tensor, float, torch.Generator], Tensor]


@levels_in(lambda examples, modality: examples.form(modality).noise_unit)
def noise(examples: Examples, level: float, generator: torch.Generator, *, modality: str, levels: list[float]) -> Examples:
    """Add noise to `modality`, by its `noise`. Pixels: Gaussian noise with standard deviation `level * 255`, clamped to 0..255.
    Texts: the share `level` of the tokens becomes the unknown token. Sound, numbers and features: Gaussian noise of `level`
    standard deviations of the column. Raises `Problem` for a modality without it, as tokens of which none is unknown.
    """
    if level < 0:
        raise Problem(f"robustness.noise.levels={list(levels)}: give 0 or more.")
    if modality not in examples.inputs:
        raise Problem(f"robustness.noise.modality={modality}: the target has {', '.join(sorted(examples.inputs))}.")
    if (with_noise := examples.form(modality).noise) is None:
        raise Problem(
            f"robustness.noise.modality={modality}: no noise can be added to it, because "
            f"{type(examples.specs.get(modality)).__name__} has no `noise`. Choose another modality, another "
            f"encoder/{modality}, or robustness=missing."
        )
    if level == 0:
        return examples
    column = examples.inputs[modality]
    there = examples.present.get(modality)
    if there is None or bool(there.all()):
        made = _spoiled(column, with_noise, level, generator)
    else:  # what stands in the place of a missing one is no part of the column's deviation
        rows, others = there.nonzero().flatten(), (~there).nonzero().flatten()
        read = _spoiled(subset(column, rows), with_noise, level, generator)
        made = subset(join([read, subset(column, others)]), torch.cat([rows, others]).argsort())
    # The inputs differ from the data set's, so its cached encoder outputs must not be used for them.
    whole = examples.whole and examples.whole.only(*(name for name in examples.whole.inputs if name != modality))
    return replace(examples, inputs={**examples.inputs, modality: made}, whole=whole)


def _spoiled(column: Column, with_noise: Noise, level: float, generator: torch.Generator) -> Column:
    values = column.values if isinstance(column, Ragged) else column
    spoiled = with_noise(values, level, generator)
    return Ragged(spoiled, column.offsets) if isinstance(column, Ragged) else spoiled
