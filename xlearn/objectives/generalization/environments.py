"""The risks of several labelled environments, each a role, and the annealing of penalties."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import PhaseContext
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


def need_annealing(name: str, weight: float, anneal: float) -> None:
    """Raise `Problem` for a weight below 0 and a share outside [0, 1]."""
    if weight < 0:
        raise Problem(f"{name}: weight={weight}: give 0 or more, e.g. 10.")
    if not 0 <= anneal <= 1:
        raise Problem(f"{name}: anneal={anneal}: give a share of the steps in [0, 1], e.g. 0.1.")


def annealed(weight: float, step: Tensor, until: float) -> Tensor:
    """The weight from step `until` on, and before it 1 (or the weight, if smaller). `step` counts from 0."""
    return torch.where(step >= until, weight, min(weight, 1.0))
