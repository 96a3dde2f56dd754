"""Transfer component analysis (TCA) with a linear kernel."""

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


class Tca(Solver):
    """Project on components with equal domain means and large variance, and retrain the head on the source (Pan et al., IEEE
    TNN 2011, unsupervised TCA): the leading eigenvectors of `(K L K + mu I)^{-1} K H K`, with K the kernel matrix of all n
    examples, `L = e e^T`, e = 1/n_s for the source's and -1/n_t for the target's, `H = I - 1/n`.

    The kernel is linear, `K = X X^T`, so the components are a linear map of the features and become part of the head; other
    kernels would need the training examples at every prediction. With `X = U S V^T` all eigenvectors lie in the span of U, so
    the problem has the size of the width, for any n. X is divided by the root of the mean squared length of its rows, so that
    `mu` does not depend on the scale of the features. The head: logistic regression with inverse penalty `strength`, trained
    also on labelled target examples, if any. The encoder does not change. Few examples reduce the components.

    Raises: `Problem` for components outside 1 to the width.
    """

    def __init__(
        self, network: Network, tasks: Mapping[str, Task], *, components: int = 20, mu: float = 1.0, strength: float = 1.0
    ) -> None:
        examples = sum(counts(tasks, "tca", mu=mu, strength=strength))
        if not 1 <= components <= network.width:
            raise Problem(f"tca: components={components}: give 1 to {network.width}, the width of the features.")
        self.network, self.tasks, self.mu, self.strength = network, tasks, mu, strength
        self.components = min(components, examples - 1)

    def __call__(self, machine: Machine) -> dict[str, Any]:
        given, task = frozen(self.network, self.tasks, machine), self.tasks[UNLABELED]
        axes = transfer_components(given.source, given.target, self.components, self.mu)
        every, labels = torch.cat([given.source, given.known]), torch.cat([given.labels, given.known_labels])
        weight, bias = classifier(every @ axes, labels, len(task.labels.classes), self.strength)
        set_head(self.network, task, weight @ axes.T, bias)
        return {}


def transfer_components(source: Tensor, target: Tensor, components: int, mu: float) -> Tensor:
    """The linear map `[d, components]` of TCA for features `[n_s, d]` and `[n_t, d]`."""
    every = torch.cat([source, target])
    every = every / every.square().sum(1).mean().sqrt().clamp_min(1e-12)
    left, singular, right = torch.linalg.svd(every, full_matrices=False)
    apart = left[: len(source)].mean(0) - left[len(source) :].mean(0)  # U^T e
    varying = left - left.mean(0)  # H U
    squares = singular.square()
    between = squares[:, None] * torch.outer(apart, apart) * squares + mu * torch.eye(len(squares), dtype=every.dtype)
    within = squares[:, None] * (varying.T @ varying) * squares
    # between is positive definite: a symmetric problem after its Cholesky factor.
    factor = torch.linalg.cholesky(between)
    inner = torch.linalg.solve_triangular(factor, within, upper=False)
    inner = torch.linalg.solve_triangular(factor, inner.T, upper=False)
    vectors = torch.linalg.eigh((inner + inner.T) / 2).eigenvectors.flip(1)[:, :components]
    chosen = torch.linalg.solve_triangular(factor.T, vectors, upper=True)
    return right.T @ (singular[:, None] * chosen)  # X^T W
