"""The risks of several labelled environments, each a role, and the annealing of penalties."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext
from xlearn.runtime.errors import Problem


def need_environments(context: PhaseContext, name: str) -> list[str]:
    """The roles of the environments. Raises `Problem` for fewer than two."""
    roles = [*context.class_counts]
    if len(roles) < 2:
        raise Problem(
            f"{name} compares several environments, but the phase reads {len(roles) or 'none'}. Choose two or more sources, "
            "e.g. source=[mnist5k,optdigits], or pretrain=supervised."
        )
    return roles


def risks(network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
    """The supervised loss of each environment (of classes the cross-entropy), the mean over its examples in the batch, always
    in single precision.
    """
    return {role: batch.space.loss(network(batch).float(), batch.labels) for role, batch in batches.items()}


class AnnealedPenalty(Objective, nn.Module):
    """A penalty of environments whose weight is 1 (or its own, if smaller) for the first share `anneal` of the steps.

    When the weight rises, the state of the optimizer starts anew, as in DomainBed: Adam's moments are those of much smaller
    gradients, so that its first steps would be too long. (The code of IRM's paper divides the sum of all losses by the weight
    instead; for Adam with new moments the scale of the losses has no effect.)

    Raises `Problem` for a weight below 0, a share outside [0, 1], and for fewer than two environments.
    """

    step: Tensor

    def __init__(self, context: PhaseContext, name: str, weight: float, anneal: float) -> None:
        super().__init__()
        need_environments(context, name)
        if weight < 0:
            raise Problem(f"{name}: weight={weight}: give 0 or more, e.g. 10.")
        if not 0 <= anneal <= 1:
            raise Problem(f"{name}: anneal={anneal}: give a share of the steps in [0, 1], e.g. 0.1.")
        self.weight, self.until = weight, anneal * context.steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        # The same number without a look at the device; None until the buffer of a resumed phase is read.
        self._done: int | None = None

    def annealed(self) -> Tensor:
        """The weight of the current step, which counts from 0."""
        return torch.where(self.step >= self.until, self.weight, min(self.weight, 1.0))

    def follow(self, network: Network) -> None:
        self._done = (int(self.step) if self._done is None else self._done) + 1
        self.step += 1

    def renews(self) -> bool:
        return self.weight > 1 and self._done is not None and self._done - 1 < self.until <= self._done
