"""The loss of each task's label space."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives import Objective, PhaseContext


class Supervised(Objective):
    """`L(outputs, labels)` per role, with the loss L of the role's label space: the mean cross-entropy for classes, the mean
    squared error for numbers (see `xlearn.label_spaces`). The mean is over the examples of the batch with a label for the role.
    """

    @classmethod
    def plain(cls, **arguments: Any) -> bool:
        return True

    def __init__(self, context: PhaseContext) -> None:
        pass

    def __call__(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {role: batch.space.loss(network(batch), batch.labels) for role, batch in batches.items()}
