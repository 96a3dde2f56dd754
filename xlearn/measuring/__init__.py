"""Measuring: how a network is measured on a task, e.g. on a test split, or on many few-shot episodes.

A way of measuring inherits from `Measuring`, and is built from the configuration as `Kind(base_learner, **arguments)`, without
data. A run, its baseline, its bounds and the networks of single tasks and modalities are all measured by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

import lazy_loader as lazy
from torch import Tensor, nn

from xlearn.config.collector import Collector
from xlearn.data.task import Examples, LabelSpace, Task
from xlearn.data.task_source import TaskSource
from xlearn.metrics.paired import Difference
from xlearn.networks.network import Network
from xlearn.phases.phase import Phase
from xlearn.runtime.machine import Machine


@dataclass(frozen=True)
class Asked:
    """The settings of a measurement: the run's seed, its metric and its machine. `cached`: other runs of a sweep measure the
    same network, as baselines and bounds.
    """

    seed: int
    metric: str
    machine: Machine
    cached: bool = False


@dataclass(frozen=True)
class Measured:
    """A measurement: metrics by name; `tensors`, which `predictions.safetensors` holds, with the predicted outputs, the labels
    and the rows; `correct bool`: which predictions are right, for paired comparisons (empty where that is undefined); `beside`:
    further content of the result.
    """

    metrics: dict[str, Any]
    tensors: dict[str, Tensor]
    correct: dict[str, Tensor] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AboveFloor:
    """The difference of a network to the floor in `metric` (above 0: the network is better), with its 95 % interval over the
    examples or episodes that are measured.
    """

    metric: str
    difference: Difference

    @property
    def learned(self) -> bool:
        """Whether the whole interval is above 0. If not, the network is called *not learned*."""
        return self.difference.low is not None and self.difference.low > 0

    def described(self) -> dict[str, Any]:
        """For `result.json`."""
        value, low, high = (None if each is None or not isfinite(each) else each for each in self.difference)
        return {"learned": self.learned, "above_floor": {"metric": self.metric, "difference": value, "low": low, "high": high}}


@dataclass(frozen=True)
class Planned:
    """The parts of a run's plan that a way of measuring may refuse."""

    target: TaskSource
    sources: Sequence[TaskSource]
    pretrain: Sequence[Phase]
    transfer: Sequence[Phase]
    carries: bool
    changes_structure: bool
    names: Mapping[str, str]


class Measuring:
    """How networks are measured on a task, with hooks for the usual way."""

    # Whether all examples of the target are measured, so that nothing else may be learned from them.
    measures_all = False

    def __init__(self, base_learner: partial[Any] | None) -> None:
        self.base_learner = base_learner

    def small(self) -> "Measuring":
        """The same on few examples, for a smoke test."""
        return self

    def fewest(self) -> int:
        """The number of examples per class that a smoke test needs in every split."""
        return 2

    def check_plan(self, planned: Planned, found: Collector) -> None:
        """Add a sentence to `found` for each part of the plan that does not fit."""

    def check(self, task: Task) -> None:
        """Raise `Problem`, before any training, if the task cannot be measured."""

    def prepared(self, task: Task) -> Task:
        """The task with the splits that this way needs."""
        return task

    def has_labels(self, task: Task) -> bool:
        """Whether a network can learn the task from its labels."""
        return len(task.train) > 0

    def spaces(self, task: Task) -> dict[str, LabelSpace]:
        """The label spaces of the heads that predict the task, by key."""
        return {task.labels.key: task.labels}

    def parts(self, network: Network) -> dict[str, nn.Module]:
        """Modules that the network needs beside its own, by name."""
        return {}

    def trains(self, network: Network) -> set[str]:
        """The names of the parameters that are learned while measuring, and not kept."""
        return set()

    def __call__(self, network: Network, task: Task, examples: Examples, still: Sequence[str], asked: Asked) -> Measured:
        """Measure the network on the task's opened test examples. `still`: the modalities whose encoder no phase changed."""
        raise NotImplementedError

    def cost(self, network: Network, task: Task, examples: Examples, asked: Asked) -> dict[str, Any]:
        """The inference cost: `parameters` that a prediction uses, and `flops` for one example."""
        raise NotImplementedError

    def floor(self, task: Task, examples: Examples, measured: Measured) -> dict[str, Any] | None:
        """The metrics of a prediction without a network, e.g. of the most frequent class; None where there is none."""
        raise NotImplementedError

    def above_floor(self, task: Task, examples: Examples, measured: Measured, asked: Asked) -> AboveFloor | None:
        """How much better the measured predictions are than that floor; None where there is none."""
        raise NotImplementedError


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "episodes": ["Episodes"],
        "test_split": ["TestSplit"],
    },
)
