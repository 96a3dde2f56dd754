"""What private low-rank parts have in common: which layers they stand at."""

from collections.abc import Mapping

from torch import nn

from xlearn.errors import Problem
from xlearn.network import Network
from xlearn.sharing.blocks import outputs
from xlearn.task import Task

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


def layers(network: Network, tasks: Mapping[str, Task], kinds: tuple[type[nn.Module], ...], rank: int) -> dict[str, nn.Module]:
    """The layers of these kinds below the heads that are called at all, by path; grouped convolutions are left out.

    Raises `Problem` for a rank below 1 or larger than a layer, and where there is no such layer.
    """
    if rank < 1:
        raise Problem(f"sharing.rank={rank}: give 1 or more.")
    there = {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, kinds) and not path.startswith(("head.", "sharing.")) and getattr(module, "groups", 1) == 1
    }
    called = outputs(network, tasks, [*there])
    found = {path: module for path, module in there.items() if path in called}
    if not found:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise Problem(f"sharing: the network has no layer for low-rank parts ({names}). Use another encoder, or a trunk.")
    for path, module in found.items():
        weight = module.get_parameter("weight")
        if rank > (largest := min(weight.shape[0], weight[0].numel())):
            raise Problem(f"sharing.rank={rank}: {path} has rank {largest} at most. Give 1 to {largest}.")
    return found
