"""Logistic regression on frozen features."""

from dataclasses import replace

import torch
from torch import Tensor

from xlearn.base_learners import BaseLearner, embedded
from xlearn.base_learners.statistics import Statistics
from xlearn.data.task import Batch
from xlearn.label_spaces.classes import Classes, need_classes
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.solvers.classifier import classifier


class LinearProbe(BaseLearner):
    """Multinomial logistic regression on the features of each support, with the penalty `1 / (2 strength) ||W||^2`, by L-BFGS
    (see `classifier`): a strong baseline (Tian et al., ECCV 2020, with features of length 1: `normalised`).

    `statistics` of batch normalisation: see `xlearn.base_learners.statistics`. The solution is not differentiable: it can
    evaluate a network, but not meta-train it. Raises `Problem` for a strength that is not above 0.
    """

    needs = replace(BaseLearner.needs, spaces=(Classes,))

    def __init__(self, *, strength: float = 1.0, normalised: bool = True, statistics: Statistics = "running") -> None:
        if not strength > 0:
            raise Problem(f"base_learner.strength={strength}: give more than 0, e.g. 1.")
        self.strength, self.normalised, self.statistics = strength, normalised, statistics

    def __call__(self, network: Network, support: Batch, query: Batch, tasks: int) -> Tensor:
        raise Problem(
            "base_learner=linear_probe is not differentiable: it cannot meta-train a network. Use it in the transfer."
        )

    @torch.no_grad()
    def curve(self, network: Network, support: Batch, query: Batch, tasks: int, every: bool = True) -> Tensor:
        need_classes(support.space, "base_learner=linear_probe", "Use base_learner=gradient_descent.")
        both = embedded(network, support, query, tasks, self.statistics)
        first, second = (torch.nn.functional.normalize(each, dim=2) if self.normalised else each for each in both)
        found = []
        classes = len(support.space.classes)
        for task, labels in enumerate(support.labels.reshape(tasks, -1)):
            weight, bias = classifier(first[task].double().cpu(), labels.cpu(), classes, self.strength)
            found.append((second[task].double().cpu() @ weight.T + bias).float())
        return torch.stack(found).unsqueeze(0).to(first.device)
