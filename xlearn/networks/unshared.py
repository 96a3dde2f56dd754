"""Parts of a network that do nothing: the sharing of one that serves a single task, and the trunk of one without a trunk."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from xlearn.data.task import Batch


class Unshared(nn.Module):
    """Nothing is private, nothing is replaced."""

    parts: tuple[nn.Module, ...] = ()
    below = False
    mixes = False
    ties = False
    modalities: frozenset[str] = frozenset()

    def overrides(self, network: nn.Module, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        return {}

    def penalties(self, network: nn.Module, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        return {}

    def rates(self) -> dict[str, float]:
        return {}

    def stand_ins(self) -> dict[str, str]:
        return {}

    def frozen(self, network: nn.Module, role: str) -> set[int]:
        return set()

    def merge(self, network: nn.Module, task: str) -> bool:
        return True

    def report(self) -> list[dict[str, Any]]:
        return []


class Through(nn.Identity):
    """No trunk: heads read what the fusion gives."""

    def __init__(self, width: Any) -> None:
        super().__init__()
        self.width = width
