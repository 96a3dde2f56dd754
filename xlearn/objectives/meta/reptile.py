"""Reptile: move the initialisation towards the weights learned on each episode."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Reptile(Objective):
    """`1/2 mean_i ||w - w_i||^2` with the constant w_i, the weights that the phase's base learner learns on episode i: its
    gradient is Reptile's `mean_i (w - w_i)` (Nichol et al., 2018; batched version), so that with `optimizer=sgd` the step is
    `w <- w + lr mean_i (w_i - w)`.

    The inner loop reads the support only, in each step `minibatch` random examples per class (null: all). Inner steps are plain
    gradient descent; the authors use Adam without momentum. Raises `Problem` without a gradient-descent base learner, and for a
    minibatch below 1.
    """

    needs = Needs(trains_head=False, episodes=True)

    def __init__(self, context: PhaseContext, *, minibatch: int | None = 2) -> None:
        if context.learner is None or context.kind is None or not hasattr(context.learner, "weights"):
            raise Problem("reptile needs a gradient-descent base learner: set base_learner, as in pretrain=reptile.")
        if minibatch is not None and not 1 <= minibatch <= context.kind.shots:
            raise Problem(
                f"reptile: minibatch={minibatch}: give 1 to {context.kind.shots} (the phase's episodes.shots), or null."
            )
        self.learner, self.tasks, self.minibatch = context.learner, context.kind.tasks, minibatch

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        ends = self.learner.weights(network, batches["support"], self.tasks, self.minibatch)
        named = dict(network.named_parameters())
        distances = [(named[name] - each).square().sum() / 2 for name, each in ends.items()]
        return {"reptile": torch.stack(distances).sum() / self.tasks}

    def log(self) -> dict[str, Any]:
        return self.learner.log()
