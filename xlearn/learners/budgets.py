"""Equal budgets: a network that a run is compared with trains for as many steps as the run reads the same labels."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from xlearn.batches import Beginning
from xlearn.data.reads import Roles
from xlearn.phases.phase import Phase, reading, steps

TARGET = "target"


def reads_labels(phase: Phase, role: str) -> bool:
    """Whether a phase trains on the labelled examples of a role."""
    return (TARGET if role == TARGET else "source") in phase.reads


def steps_of(chain: Sequence[Phase], roles: Roles, role: str) -> int:
    """The steps of the phases of a chain that read the labelled examples of a role, in sum; a closed form has none.

    `epochs` are counted as the phase counts them, over the largest task it reads. A phase may end earlier (`patience`).
    """
    return sum(_steps(phase, roles) for phase in chain if reads_labels(phase, role) and phase.solver.trains)


def equal(given: Sequence[Phase], chain: Sequence[Phase], roles: Roles, role: str) -> tuple[Phase, ...]:
    """The phases `given` of a network that learns the role alone, for as many steps in sum as `steps_of` the run's chain.

    Several share the steps evenly. They stay as they are where one of them sets how long it lasts, and where the chain has no
    such step: then they last as `budget.transfer` says.
    """
    total = steps_of(chain, roles, role)
    if total == 0 or any(phase.sets_length for phase in given):
        return (*given,)
    ends = [round(total * position / len(given)) for position in range(len(given) + 1)]
    each = [max(1, end - start) for start, end in pairwise(ends)]
    return tuple(replace(phase, epochs=None, steps=number) for phase, number in zip(given, each, strict=True))


def _steps(phase: Phase, roles: Roles) -> int:
    if phase.steps is not None:
        return phase.steps
    examples = {name: task.train for name, task in reading(phase, roles).items()}
    taught = bool(phase.teachers)
    beginning = Beginning(examples, 0, torch.device("cpu"), separate=taught or phase.adapts, every=taught)
    return steps(phase, phase.batches.begin(beginning).steps_per_epoch)
