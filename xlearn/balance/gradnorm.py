"""GradNorm: learns task weights that balance the lengths of the gradients and the speeds of learning."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from xlearn.balance import At, Backward, Balance, by_task, tasks
from xlearn.balance.gradients import Gradients
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem

# The lowest weight: no task is ever switched off.
SMALLEST = 1e-3


class GradNorm(Balance, nn.Module):
    """`sum_t w_t g_t` on shared parameters or features, w learned by the gradient of `sum_t |w_t |g_t| - m r_t^alpha|`, where
    `m = mean_t w_t |g_t|` and `r_t = (L_t / L_t(0)) / mean_s (L_s / L_s(0))` are constants (Chen et al., ICML 2018, eq. 2).

    g_t are the gradients at all shared parameters or at the features (`at`); the paper takes one shared layer. w starts at 1.
    After each step it is scaled to add up to K, the number of tasks, as in `equal`, with none below 0.001. `rate` multiplies
    the learning rate of w. L_t(0) is the mean of the task's first `initial` losses (the paper: 1, which a single batch makes
    noisy). Heads keep their own gradients. In a step, m and r count only the tasks that have a loss; a single such task has
    weight 1.

    Raises `Problem` for an initial below 1.
    """

    first: Tensor
    count: Tensor

    def __init__(
        self, context: PhaseContext, *, alpha: float = 1.5, rate: float = 10.0, initial: int = 10, at: At = "parameters"
    ) -> None:
        super().__init__()
        if initial < 1:
            raise Problem(f"balance.initial={initial}: give 1 step or more, e.g. 10.")
        self.roles, self.alpha, self.rate, self.initial = tasks(context, "gradnorm"), alpha, rate, initial
        self.weight = nn.Parameter(torch.ones(len(self.roles)))
        self.register_buffer("first", torch.zeros(len(self.roles)))
        self.register_buffer("count", torch.zeros(len(self.roles)))
        self.gradients = Gradients(self.roles, at, context.network)
        self.weights = {}

    def forward(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found = {role: loss.detach().float() for role, loss in by_task(losses, self.roles)[0].items()}
        self._note(found)

        def weigh(gramian: Tensor, roles: Sequence[str]) -> Tensor:
            at = self._places(roles)
            chosen, lengths = self.weight.detach()[at], gramian.diagonal().sqrt().to(self.weight)
            ratio = (torch.stack([found[role] for role in roles]) / self.first[at]).clamp_min(0)
            pull = chosen * lengths
            goal = pull.mean() * (ratio / ratio.mean().clamp_min(1e-12)) ** self.alpha
            gradient = torch.zeros_like(self.weight)
            gradient[at] = (pull - goal).sign() * lengths
            # Scaled as all gradients, because the optimizer unscales them (fp16).
            self.weight.grad = backward.scale(gradient)
            return chosen.cpu()

        self.weights = self.gradients(losses, backward, weigh)

    def _note(self, found: Mapping[str, Tensor]) -> None:
        for position, loss in zip(self._places([*found]), found.values(), strict=True):
            # On tensors, because a Python `if` would wait for the GPU in every step.
            new = self.count[position] < self.initial
            self.count[position] += new
            mean = self.first[position] + (loss - self.first[position]) / self.count[position]
            self.first[position] = torch.where(new, mean, self.first[position])

    def _places(self, roles: Sequence[str]) -> list[int]:
        return [self.roles.index(role) for role in roles]

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        self.weight.clamp_min_(SMALLEST)
        self.weight.mul_(len(self.roles) / self.weight.sum())
