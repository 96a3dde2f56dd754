"""GroupDRO: group distributionally robust optimisation, with the largest weight on the worst environment."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.objectives.generalization.environments import need_environments, risks
from xlearn.runtime.errors import Problem


class GroupDro(Objective, nn.Module):
    """`sum_g q_g l_g` over environments g, each a role, with their mean cross-entropies l_g: in each step first
    `q_g <- q_g exp(eta l_g)`, scaled to `sum_g q_g = 1`, without a gradient; q starts uniform (Sagawa et al., ICLR 2020,
    algorithm 1, with all groups in every step as in DomainBed).

    The phase's objective. Returns the losses `q_g l_g` by role, which balance=equal sums. An environment without examples in a
    step has l_g = 0.

    Raises `Problem` for eta below 0, and for fewer than two environments.
    """

    q: Tensor

    def __init__(self, context: PhaseContext, *, eta: float = 0.01) -> None:
        super().__init__()
        self.roles = need_environments(context, "groupdro")
        if eta < 0:
            raise Problem(f"groupdro: eta={eta}: give 0 or more, e.g. 0.01.")
        self.eta = eta
        self.register_buffer("q", torch.full((len(self.roles),), 1 / len(self.roles)))
        self._next: Tensor | None = None

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        found = risks(network, {role: batches[role] for role in self.roles if role in batches})
        none = torch.zeros_like(self.q[0])
        losses = torch.stack([found.get(role, none) for role in self.roles]).detach()
        # q exp(eta l), normalised, as a softmax to avoid overflow.
        moved = (self.q.log() + self.eta * losses).softmax(0)
        if torch.is_grad_enabled():
            self._next = moved
        return {f"{role}_groupdro": moved[self.roles.index(role)] * loss for role, loss in found.items()}

    def follow(self, network: Network) -> None:
        # Updated here only, so that forward passes between steps do not change q.
        if self._next is not None:
            self.q.copy_(self._next)
