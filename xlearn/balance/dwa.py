"""Dynamic weight average: larger weights for tasks with slowly falling losses."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


class DynamicWeightAverage(Balance, nn.Module):
    """`sum_t w_t L_t`, `w = K softmax(r / temperature)`, `r_t = M_t(e-1) / M_t(e-2)` (Liu et al., CVPR 2019, eq. 7).

    M_t(e) is the mean loss of task t in window e. A window is `every` steps, because the tasks' epochs differ in length. r_t is
    1 (hence the weights of `equal` at the start) until the task had losses in two windows. A window without a loss of t leaves
    M_t unchanged. In a step, K and the softmax count only the tasks that have a loss.

    Raises `Problem` for a temperature or a number of steps that is not above 0.
    """

    step: Tensor
    total: Tensor
    count: Tensor
    last: Tensor
    before: Tensor

    def __init__(self, context: PhaseContext, *, temperature: float = 2.0, every: int = 100) -> None:
        super().__init__()
        if not temperature > 0:
            raise Problem(f"balance.temperature={temperature}: give a number above 0, e.g. 2 (the paper's).")
        if every < 1:
            raise Problem(f"balance.every={every}: give 1 step or more, e.g. those of an epoch.")
        self.roles, self.temperature, self.every = tasks(context, "dwa"), temperature, every
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        for name in ("total", "count", "last", "before"):
            self.register_buffer(name, torch.zeros(len(self.roles)))
        self.weights = {}

    def forward(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        at = [self.roles.index(role) for role in found]
        ratio = torch.where(self.before != 0, self.last / self.before, 1.0)
        weights = len(found) * (ratio[at] / self.temperature).softmax(0)
        self.weights = dict(zip(found, weights.unbind(), strict=True))
        backward(weighted(found, weights, others))
        for position, loss in zip(at, found.values(), strict=True):
            self.total[position] += loss.detach()
            self.count[position] += 1
        self.step += 1
        # On tensors, because a Python `if` would wait for the GPU in every step.
        ends = (self.step % self.every == 0) & (self.count > 0)
        self.before.copy_(torch.where(ends, self.last, self.before))
        self.last.copy_(torch.where(ends, self.total / self.count, self.last))
        self.total.masked_fill_(ends, 0)
        self.count.masked_fill_(ends, 0)
