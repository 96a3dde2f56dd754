"""Batches: the examples of each step of a phase.

A kind of batches inherits from `Batching`, and is built from the configuration as `Kind(base_learner, **arguments)`, without
data. When its phase runs, `begin` returns a source of batches (see `xlearn.data.batches.Source`).

The same step must give the same batch. A source draws from a generator of its own, seeded by (seed, role, step), and never from
torch's global generator, from which dropout and views are drawn. Its state has only tensors and plain containers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import lazy_loader as lazy
import torch
from torch import nn

from xlearn.data.batches import Augment, Source
from xlearn.data.task import Examples, Task
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network
from xlearn.networks.predictions import predict
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine
from xlearn.runtime.needs import NO_LABELS, Declares

# A score on held-out examples: called with (network, examples by role, metric, machine).
Score: TypeAlias = Callable[[Network, Mapping[str, Examples], str, Machine], float]


@dataclass(frozen=True)
class Beginning:
    """What a source of batches begins with.

    `examples` by role; `separate`: every role needs batches of its own, though tasks of the same examples could share them;
    `every`: every role is needed in every step.
    """

    examples: Mapping[str, Examples]
    seed: int
    device: torch.device
    augment: Sequence[Augment] = ()
    separate: bool = False
    every: bool = False


@dataclass
class HeldOut:
    """The examples of a phase, divided: `train` by role, and `valid` by role, which score the network.

    `scores`: by name, the score of the network on `valid`; `spaces`: the label space of each; `judges`: the names of the scores
    that select the weights. `extra`: further fields of the phase's `PhaseContext`.
    """

    train: dict[str, Examples]
    valid: dict[str, Examples]
    scores: dict[str, Score]
    spaces: dict[str, LabelSpace]
    judges: list[str]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """The properties of a phase that its batches must know: its name, and how it selects weights and ends (`selects`: by
    scores)."""

    name: str
    keep: str
    selects: bool
    patience: int | None


class Batching(Declares):
    """The batches of a phase, with hooks for usual ones: a batch for each task, scored on its validation split."""

    needs = NO_LABELS
    # Whether the batches of a step are named by the roles of the tasks.
    by_role = True
    # Whether every step has a batch of every role.
    every_role = True
    # Whether classes are as frequent in the batches as among the training examples.
    keeps_shares = True

    def __init__(self, base_learner: partial[Any] | None) -> None:
        if base_learner is not None:
            raise Problem("base_learner: these batches are no episodes. Set batches to episodes, as in pretrain=maml.")

    def small(self) -> "Batching":
        """The same with small batches, for a smoke test."""
        return self

    def fewest(self) -> int:
        """The number of examples per class that a smoke test needs in every split."""
        return 2

    def size(self, examples: int) -> int:
        """The number of examples in a batch of a task with so many."""
        raise NotImplementedError

    def shares(self, separate: bool) -> bool:
        """Whether tasks made of the same examples share their batches; `separate`: they must not."""
        return False

    def document(self, read: Mapping[str, Task]) -> dict[str, Any]:
        """The part of the phase's cache key that the batches determine."""
        raise NotImplementedError

    def begin(self, beginning: Beginning) -> Source:
        """The batches of a training."""
        raise NotImplementedError

    def spaces(self, tasks: Sequence[Task]) -> list[LabelSpace]:
        """The label spaces of the heads that the phase trains."""
        return [task.labels for task in tasks]

    def parts(self, network: Network) -> dict[str, nn.Module]:
        """Modules that the network needs beside its own, by name."""
        return {}

    def context(self) -> dict[str, Any]:
        """Further fields of the phase's `PhaseContext`, for the checks before training."""
        return {}

    def check(self, asked: Asked, read: Mapping[str, Task], one_task: bool, views: Sequence[str]) -> None:
        """Raise `Problem`, before any training, if there can be no such batches. `one_task`: an augmentation mixes labels."""

    def hold_out(
        self, asked: Asked, tasks: Mapping[str, Task], scored: Mapping[str, Task], judges: Sequence[str], seed: int
    ) -> HeldOut:
        """Divide the examples of `tasks`. `scored`: the tasks with a head, whose validation split scores the network; `judges`:
        those of them that select the weights.
        """
        valid = {role: task.val for role, task in scored.items() if len(task.val)}
        scores: dict[str, Score] = {role: partial(_score, role) for role in valid}
        spaces = {role: each.space for role, each in valid.items()}
        return HeldOut({role: task.train for role, task in tasks.items()}, valid, scores, spaces, [*judges])


def _score(role: str, network: Network, valid: Mapping[str, Examples], metric: str, machine: Machine) -> float:
    """The metric on the validation split of a role, with the network's current weights."""
    examples = valid[role]
    return predict(network, examples, machine).score(examples.space.own_metric(metric))


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "examples": ["Batches"],
        "episodes": ["Episodes"],
    },
)
