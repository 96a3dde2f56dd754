"""Solvers: phases with a closed-form solution.

A solver inherits from `Solver`, and is built as `Solver(network, tasks)` at the start of the phase, and once before any
training as a check. A call with the machine changes the network in place, and returns the values to report. `tasks`: those that
the phase reads, by role: sources, `target` if it has labels, `unlabeled`. Pretrained encoders have encoded the examples before,
unless the solver needs `runs_encoders`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lazy_loader as lazy

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine
from xlearn.runtime.needs import NO_LABELS, Declares


class Solver(Declares):
    """A solver of a phase that reads unlabelled examples of the target."""

    needs = replace(NO_LABELS, unlabeled=True)

    def __init__(self, network: Network, tasks: Mapping[str, Task]) -> None:
        self.network, self.tasks = network, tasks

    def __call__(self, machine: Machine) -> dict[str, Any]:
        """Change the network in place; returns the values to report."""
        raise NotImplementedError


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "adabn": ["AdaBN"],
        "bbse": ["Bbse"],
        "coral_features": ["CoralFeatures"],
        "subspace_alignment": ["SubspaceAlignment"],
        "tca": ["Tca"],
    },
)
