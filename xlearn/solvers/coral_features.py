"""CORAL in closed form, on frozen features."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.runtime.machine import Machine
from xlearn.solvers import Solver
from xlearn.solvers.classifier import centred_covariance, classifier, counts, frozen, set_head


class CoralFeatures(Solver):
    """Whiten the source's features, re-colour them with the target's covariance, and retrain the head on them (CORAL, Sun et
    al., AAAI 2016, algorithm 1): `f_s' = (f_s - m_s) C_s^{-1/2} C_t^{1/2} + m_t` with `C = cov + ridge I`.

    The paper has features of mean 0; here the means are aligned too. The head: logistic regression with inverse penalty
    `strength`, trained also on unchanged labelled target examples, if any. The encoder does not change. Raises `Problem` for a
    ridge or strength not above 0, and for domains of fewer than 2 examples.
    """

    def __init__(self, network: Network, tasks: Mapping[str, Task], *, ridge: float = 1.0, strength: float = 1.0) -> None:
        counts(tasks, "coral_features", ridge=ridge, strength=strength)
        self.network, self.tasks, self.ridge, self.strength = network, tasks, ridge, strength

    def __call__(self, machine: Machine) -> dict[str, Any]:
        given, task = frozen(self.network, self.tasks, machine), self.tasks[UNLABELED]
        aligned = torch.cat([coral(given.source, given.target, self.ridge), given.known])
        labels = torch.cat([given.labels, given.known_labels])
        set_head(self.network, task, *classifier(aligned, labels, len(task.labels.classes), self.strength))
        return {}


def coral(source: Tensor, target: Tensor, ridge: float) -> Tensor:
    """The source's features `[n, d]`, transformed to the mean and covariance of the target's `[m, d]`."""
    (mean_s, covariance_s), (mean_t, covariance_t) = (centred_covariance(each, ridge) for each in (source, target))
    return (source - mean_s) @ power(covariance_s, -0.5) @ power(covariance_t, 0.5) + mean_t


def power(symmetric: Tensor, exponent: float) -> Tensor:
    """The power of a symmetric positive definite matrix, by its eigenvalues."""
    values, vectors = torch.linalg.eigh(symmetric)
    return (vectors * values.clamp_min(1e-12) ** exponent) @ vectors.T
