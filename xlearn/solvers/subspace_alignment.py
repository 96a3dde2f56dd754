"""Subspace alignment."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine
from xlearn.solvers import Solver
from xlearn.solvers.classifier import classifier, counts, frozen, set_head


class SubspaceAlignment(Solver):
    """Align the source's principal subspace with the target's, and retrain the head on the aligned coordinates (Fernando et
    al., ICCV 2013, algorithm 1): `(f_s - m_s) P_s P_s^T P_t` for the source, `(f_t - m_t) P_t` for the target, with P the first
    `components` principal axes `[width, components]` of each.

    The target's map is linear, so it becomes part of the head: `W P_t^T f + b - W P_t^T m_t`. The head: logistic regression
    with inverse penalty `strength`, trained also on labelled target examples, if any. The encoder does not change. A domain
    with few examples reduces the components. Raises `Problem` for components outside 1 to the width.
    """

    def __init__(self, network: Network, tasks: Mapping[str, Task], *, components: int = 20, strength: float = 1.0) -> None:
        examples = min(counts(tasks, "subspace_alignment", strength=strength))
        if not 1 <= components <= network.width:
            raise Problem(f"subspace_alignment: components={components}: give 1 to {network.width}, the width of the features.")
        self.network, self.tasks, self.strength = network, tasks, strength
        self.components = min(components, examples - 1)

    def __call__(self, machine: Machine) -> dict[str, Any]:
        given, task = frozen(self.network, self.tasks, machine), self.tasks[UNLABELED]
        (mean_s, axes_s), (mean_t, axes_t) = (principal(each, self.components) for each in (given.source, given.target))
        aligned = torch.cat([(given.source - mean_s) @ axes_s @ (axes_s.T @ axes_t), (given.known - mean_t) @ axes_t])
        labels = torch.cat([given.labels, given.known_labels])
        weight, bias = classifier(aligned, labels, len(task.labels.classes), self.strength)
        inner = weight @ axes_t.T
        set_head(self.network, task, inner, bias - inner @ mean_t)
        return {}


def principal(given: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """The mean `[d]` and the first principal axes `[d, components]`."""
    mean = given.mean(0)
    return mean, torch.linalg.svd(given - mean, full_matrices=False).Vh[:components].T
