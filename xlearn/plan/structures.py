"""What the target's network has beside its own parameters: nothing, private layers, or the parts of several tasks."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.runtime.fingerprints import described
from xlearn.sharing.together import Parts, join


class Structure:
    """A structure with nothing beside the network: it serves the target alone."""

    # Whether one network serves source and target.
    together = False
    # Whether the network has parameters beside its own.
    adds = False

    def tasks(self, sources: Mapping[str, Task], target: Task) -> dict[str, Task]:
        """The tasks that the network serves, by role."""
        return {"target": target}

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        """Add the private parameters of the tasks to the network."""

    def document(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the network's document that the structure determines. `named`: modalities and label space by role."""
        return {}


class PrivateLayers(Structure):
    """Private layers of the target, which the transfer adds (`transfer.adds`), e.g. low-rank updates."""

    adds = True

    def __init__(self, component: partial[Any]) -> None:
        self.component = component

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        network.sharing = Parts([self.component(network, tasks)])

    def document(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return {"sharing": [described(self.component), named]}


class Together(Structure):
    """Source and target in one network (`transfer.joins`), with the private parts of a sharing. `statistics`: batch
    normalisation statistics are `shared`, or of each `task`.
    """

    together = True

    def __init__(self, sharing: partial[Any], statistics: str) -> None:
        self.sharing, self.statistics = sharing, statistics

    def tasks(self, sources: Mapping[str, Task], target: Task) -> dict[str, Task]:
        return {**sources, "target": target}

    def join(self, network: Network, tasks: Mapping[str, Task]) -> None:
        join(network, self.sharing, tasks, self.statistics)

    def document(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return {"sharing": [described(self.sharing), self.statistics, named]}
