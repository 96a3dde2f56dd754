"""Parts of closed-form solvers on frozen features: the features of both domains, and a linear classifier for the head."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.evaluate import features
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.runtime.machine import Machine


@dataclass(frozen=True)
class Frozen:
    """`float64` features of both domains: `source [n, width]` with `labels [n]`, the unlabelled `target [m, width]`, and the
    labelled target examples, `known [k, width]` with `known_labels [k]` (k may be 0).
    """

    source: Tensor
    labels: Tensor
    target: Tensor
    known: Tensor
    known_labels: Tensor


def counts(tasks: Mapping[str, Task], name: str, **positive: float) -> tuple[int, int]:
    """The numbers of examples of the sources and of the unlabelled target. Raises `Problem` for a domain with fewer than 2
    (no covariance), and for options of the solver `name` that are not above 0.
    """
    for option, value in positive.items():
        if value <= 0:
            raise Problem(f"{name}: {option}={value}: give more than 0, e.g. 1.")
    found = sum(len(tasks[role].train) for role in sources(tasks)), len(tasks[UNLABELED].train)
    for what, count in zip(("source", "unlabelled target"), found, strict=True):
        if count < 2:
            raise Problem(f"{name}: the {what} has {count} example(s), but a covariance needs 2. Raise shots, or lower test.")
    return found


def frozen(network: Network, tasks: Mapping[str, Task], machine: Machine) -> Frozen:
    """The input features of the heads, of both domains."""
    each = [tasks[role].train for role in sources(tasks)]
    unlabelled = tasks[UNLABELED].train

    def read(examples: list) -> Tensor:
        found = [features(network, one, machine).double() for one in examples]
        return torch.cat(found) if found else torch.zeros(0, network.width, dtype=torch.float64)

    few = [tasks["target"].train] if "target" in tasks else []
    labels = torch.cat([examples.labels for examples in each])
    known_labels = torch.cat([examples.labels for examples in few]) if few else labels[:0]
    return Frozen(read(each), labels, read([unlabelled]), read(few), known_labels)


def classifier(given: Tensor, labels: Tensor, classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """`W [classes, d]` and `b [classes]` of multinomial logistic regression on features `[n, d]`: the minimum of
    `sum_i -log p_{y_i} + 1 / (2 strength) ||W||^2`, of features divided by their root mean square, by L-BFGS (scikit-learn; for
    two classes it penalises the difference of both rows of W, not W). A class without examples is never predicted.
    """
    from sklearn.linear_model import LogisticRegression

    scale = float(
        given.square().mean().sqrt().clamp_min(1e-12)
    )  # so that `strength` means the same whatever the features' size
    model = LogisticRegression(C=strength, max_iter=2000).fit((given / scale).numpy(), labels.numpy())
    there = torch.tensor(numpy.asarray(model.classes_))
    coefficients, offsets = torch.tensor(model.coef_), torch.tensor(model.intercept_)
    if len(there) == 2:  # binary: one row, second class against first
        coefficients, offsets = (torch.cat([-each / 2, each / 2]) for each in (coefficients, offsets))
    weight = torch.zeros(classes, given.shape[1], dtype=torch.float64)
    bias = torch.full((classes,), float(offsets.min()) - 1e3, dtype=torch.float64)
    weight[there], bias[there] = coefficients / scale, offsets
    return weight, bias


@torch.no_grad()
def set_head(network: Network, task: Task, weight: Tensor, bias: Tensor) -> None:
    """Replace the head of the task's label space by a linear classifier."""
    head = network.head[task.labels.key]
    assert isinstance(head, torch.nn.Linear)
    head.weight.copy_(weight)
    head.bias.copy_(bias)


def centred_covariance(given: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """(mean `[d]`, covariance `[d, d]` with n - 1 in the denominator, plus `ridge` times the identity)."""
    mean = given.mean(0)
    apart = given - mean
    return mean, apart.T @ apart / (len(given) - 1) + ridge * torch.eye(given.shape[1], dtype=given.dtype)
