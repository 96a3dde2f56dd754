"""The target's loss plus the sources' losses, with a weight that follows a schedule."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from xlearn.balance import Backward, Balance, by_task, tasks, weighted
from xlearn.objectives import PhaseContext
from xlearn.runtime.errors import Problem


class Auxiliary(Balance, nn.Module):
    """`L_target + w sum_s L_s` over the sources s, w from `first` to `last` over the steps of the phase (joint learning with
    auxiliary tasks).

    With p in [0, 1] the fraction of steps done: `shape=linear` is `w = first + p (last - first)`, `shape=cosine`
    `w = last + (first - last) (1 + cos(pi p)) / 2`. `first=last=1` is `equal`. A step without a loss of the target trains the
    sources, with weight w.

    Raises `Problem` if the target is not among the tasks, and for weights below 0.
    """

    step: Tensor

    def __init__(
        self, context: PhaseContext, *, first: float = 1.0, last: float = 0.0, shape: Literal["linear", "cosine"] = "linear"
    ) -> None:
        super().__init__()
        for name, value in (("first", first), ("last", last)):
            if not value >= 0:
                raise Problem(f"balance.{name}={value}: give a weight of 0 or more for the sources, e.g. 1.")
        self.roles = with_target(context, "auxiliary")
        self.first, self.last, self.shape, self.steps = first, last, shape, context.steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.weights = {}

    def forward(self, losses: Mapping[str, Tensor], backward: Backward) -> None:
        found, others = by_task(losses, self.roles)
        source = self.source_weight()
        self.weights = {role: torch.ones_like(source) if role == "target" else source for role in found}
        backward(weighted(found, self.weights.values(), others))
        self.step += 1

    def source_weight(self) -> Tensor:
        """w of the next step, a scalar; in the last step it is `last`."""
        share = (self.step / max(1, self.steps - 1)).clamp_max(1.0)
        if self.shape == "cosine":
            share = (1 - (math.pi * share).cos()) / 2
        return self.first + share * (self.last - self.first)


def with_target(context: PhaseContext, name: str) -> tuple[str, ...]:
    """The roles of the phase's tasks. Raises `Problem` if the target is not among them."""
    roles = tasks(context, name)
    if "target" not in roles:
        raise Problem(
            f"balance={name} weighs sources against the target, and the phase reads {' and '.join(roles)} only. Let the "
            "phase read both (transfer=joint), or choose balance=equal."
        )
    return roles
