"""FAMO: equal relative decrease of all losses, for one more forward pass instead of one backward pass per task."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem

EPSILON = 1e-8


class Famo(Balance, nn.Module):
    """`K c sum_t z_t log D_t`, `z = softmax(xi)`, `D_t = L_t - lowest`, `c = 1 / sum_t (z_t / D_t)` (Liu et al., NeurIPS 2023).

    c is a constant to the gradient. After the step, on the same batches (same dropout, unchanged normalisation statistics):
    `d = log D_t(before) - log D_t(after)`, and xi takes a step of Adam along `J^T d + decay xi`, J the Jacobian of the softmax.
    (Algorithm 1 writes plain descent; the authors' code, which made the paper's numbers, takes Adam.) Its step size is `rate`,
    independent of `optimizer.lr`. The paper has no factor K: with it the weights `K c z_t / D_t` add up to K, as in `equal`.
    D_t is clamped at 1e-8: losses must stay above `lowest`. Tasks without a loss in a step are left out of the softmax and keep
    their xi.

    Raises `Problem` for a rate or a decay below 0.
    """

    repeats = True
    xi: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor

    def __init__(self, context: PhaseContext, *, rate: float = 0.025, decay: float = 0.01, lowest: float = 0.0) -> None:
        super().__init__()
        for name, value in (("rate", rate), ("decay", decay)):
            if not value >= 0:
                raise Problem(f"balance.{name}={value}: give 0 or more, e.g. the paper's rate=0.025 and decay=0.01.")
        self.roles, self.step_size, self.decay, self.lowest = tasks(context, "famo"), rate, decay, lowest
        for name in ("xi", "mean", "square", "count"):
            self.register_buffer(name, torch.zeros(len(self.roles)))
        self.before: dict[str, Tensor] = {}
        self.weights = {}

    def forward(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        self.before = self._logs(found)
        z = self.xi[self._places(found)].softmax(0)
        shares = z / torch.stack([*self.before.values()]).exp() if found else z
        weights = len(found) * shares / shares.sum()
        self.weights = dict(zip(found, weights.unbind(), strict=True))
        backward(weighted(found, weights, others))

    def again(self, losses: Callable[[], Mapping[str, Tensor]]) -> None:
        """Update xi from the change of the losses in this step."""
        after = self._logs(by_task(losses(), self.roles)[0])
        common = [role for role in self.before if role in after]
        if len(common) < 2:
            return
        at = self._places(common)
        z = self.xi[at].softmax(0)
        change = torch.stack([self.before[role] - after[role] for role in common])
        gradient = z * (change - z @ change) + self.decay * self.xi[at]
        self.count[at] += 1
        self.mean[at] = 0.9 * self.mean[at] + 0.1 * gradient
        self.square[at] = 0.999 * self.square[at] + 0.001 * gradient.square()
        mean, square = self.mean[at] / (1 - 0.9 ** self.count[at]), self.square[at] / (1 - 0.999 ** self.count[at])
        self.xi[at] -= self.step_size * mean / (square.sqrt() + 1e-8)

    def _places(self, found: Mapping[str, Tensor] | list[str]) -> list[int]:
        return [self.roles.index(role) for role in found]

    def _logs(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {role: (loss.detach().float() - self.lowest).clamp_min(EPSILON).log() for role, loss in found.items()}
