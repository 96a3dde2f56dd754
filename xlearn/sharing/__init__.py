"""Sharing: the parameters that are copied from source to target, or shared between jointly learned tasks.

A function, called as `sharing(names, network)`, selects from the parameter names that two networks have in common. If the
transfer copies weights, it copies the selected ones. If tasks are learned together (`transfer=joint`), the tasks share the
selected parameters, and each task has private copies of the others.

A class is a structure for tasks that are learned together (see `Structure`), built as `Sharing(network, tasks)` with the tasks
by role. Its parameters are those outside of the network: the target's private modules are the network's own, the sources have
copies.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lazy_loader as lazy
from torch import Tensor, nn

from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.runtime.needs import NO_LABELS, Declares

if TYPE_CHECKING:
    from xlearn.sharing.private import Private


# A function that selects weights to copy; one that copies none on purpose declares `NO_LABELS`.
COPIES = replace(NO_LABELS, copied=True)


class Structure(Declares, nn.Module):
    """What several tasks in one network have beside it, with hooks that do nothing here."""

    needs = replace(NO_LABELS, several_tasks=True)
    # The modalities whose encoders differ between tasks.
    modalities: Set[str] = frozenset()
    # Whether tasks differ in more than their heads.
    below: bool = True
    # Whether a column also reads the inputs of other tasks.
    mixes: bool = False
    # Whether tasks share no parameter, but a penalty ties their weights.
    ties: bool = False

    def overrides(self, network: Network, batch: Batch) -> dict[nn.Module, Callable[..., Any]]:
        """The forward functions that replace modules of the network for the batch's task."""
        return {}

    def private(self) -> "dict[str, Private]":
        """Its private copies of modules, by the path of their owner below the structure ("" for the structure itself)."""
        return {}

    def penalties(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """Named losses that are added, called after the forward pass."""
        return {}

    def rates(self) -> dict[str, float]:
        """The multipliers of the learning rate that are not 1, by parameter name."""
        return {}

    def frozen(self, network: Network, role: str) -> Sequence[nn.Parameter]:
        """The parameters that the task uses without a gradient."""
        return ()

    def merge(self, network: Network, task: str) -> bool:
        """Write the task's private parameters into the network. Returns whether the network now serves the task without the
        structure.
        """
        return False

    def report(self) -> dict[str, Any]:
        """For `result.json`: the layers that have its parts, and those that have none, by reason. Empty: nothing to report."""
        return {}


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_encoder": ["encoder"],
        "_hard": ["hard"],
        "_layers": ["layers"],
        "_none": ["none"],
        "adapter": ["Adapter"],
        "all": ["share_all"],
        "cross_stitch": ["CrossStitch"],
        "lora": ["Lora"],
        "mmoe": ["Mmoe"],
        "mtan": ["Mtan"],
        "names": ["by_name"],
        "ple": ["Ple"],
        "progressive": ["Progressive"],
        "soft": ["Soft"],
    },
)
