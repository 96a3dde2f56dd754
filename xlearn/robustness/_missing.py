"""A modality missing in a share of the test examples."""

from dataclasses import replace

import torch

from xlearn.data.task import Examples
from xlearn.runtime.errors import Problem


def missing(examples: Examples, level: float, generator: torch.Generator, *, modality: str, levels: list[float]) -> Examples:
    """Remove `modality` from the share `level` (0..1) of the examples, drawn at random; higher levels remove a superset."""
    if not 0 <= level <= 1:
        raise Problem(f"robustness.missing.levels={list(levels)}: give shares in [0, 1].")
    if modality not in examples.inputs:
        raise Problem(f"robustness.missing.modality={modality}: the target has {', '.join(sorted(examples.inputs))}.")
    if level == 0:
        return examples
    order = torch.randperm(len(examples), generator=generator)
    present = examples.present.get(modality, torch.ones(len(examples), dtype=torch.bool)).clone()
    present[order[: round(level * len(examples))]] = False
    return replace(examples, present={**examples.present, modality: present})
