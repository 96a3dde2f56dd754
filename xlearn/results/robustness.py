"""Robustness: the metric on test inputs that are corrupted at increasing levels."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from xlearn.data.task import Examples, Task
from xlearn.learners.learner import Learner
from xlearn.measuring import Asked
from xlearn.robustness import unit
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive


def check_robustness(chosen: Mapping[str, partial[Any]], target: Task) -> None:
    """Raise `Problem`, before any training, for a robustness option with a missing modality or an invalid level."""
    if chosen and not target.measurable:
        raise Problem(f"robustness={','.join(chosen)}: target={target.name} has no labels to measure with. Leave it out.")
    there = next(each for each in (target.train, target.unlabeled, target.test.examples) if len(each))
    few = there.subset(torch.arange(min(2, len(there))))
    for name, spoil in chosen.items():
        if not spoil.keywords["levels"]:
            raise Problem(f"robustness.{name}.levels=[]: give at least one level, e.g. 0.5.")
        for level in spoil.keywords["levels"]:
            spoil(few, level, torch.Generator().manual_seed(0))


def robustness(chosen: Mapping[str, partial[Any]], own: Learner, target: Task, test: Examples, asked: Asked) -> dict[str, Any]:
    """The metric on test inputs corrupted at increasing levels: `{name: {modality, levels, metric: [...]}}`.

    All levels use the same seed, so that higher levels corrupt a superset of the inputs.
    """
    curves: dict[str, Any] = {}
    for name, spoil in chosen.items():
        values = []
        for level in spoil.keywords["levels"]:
            generator = torch.Generator().manual_seed(derive(asked.seed, "robustness", name))
            values.append(own.measured(target, spoil(test, level, generator), asked).metrics[asked.metric])
        modality = spoil.keywords["modality"]
        curves[name] = {"modality": modality, "levels": spoil.keywords["levels"], asked.metric: values}
        curves[name] |= unit(spoil, test, modality)
    return curves
