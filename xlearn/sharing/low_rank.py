"""The layers that can have private low-rank parts (LoRA, adapters)."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem, nearest
from xlearn.sharing.blocks import outputs

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


def layers(
    network: Network,
    tasks: Mapping[str, Task],
    kinds: tuple[type[nn.Module], ...],
    rank: int,
    patterns: Sequence[str] | None = None,
    largest: float = 1.0,
) -> dict[str, nn.Module]:
    """The layers of these kinds below the heads, by path, that are called and match a shell-style pattern (None: all). Left
    out are grouped convolutions, and layers where a part of this rank would have more than the share `largest` of the
    weight's numbers.

    Raises: `Problem` for a rank below 1 or larger than a layer, for a pattern that matches no layer, and without such a layer.
    """
    if rank < 1:
        raise Problem(f"rank={rank}: give 1 or more.")
    there = {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, kinds) and not path.startswith(("head.", "sharing.")) and getattr(module, "groups", 1) == 1
    }
    for pattern in patterns or ():
        if not any(fnmatchcase(path, pattern) for path in there):
            raise Problem(f"layers: {pattern!r} matches no layer that can have a low-rank part. {nearest(pattern, [*there])}")
    if patterns is not None:
        there = {path: each for path, each in there.items() if any(fnmatchcase(path, pattern) for pattern in patterns)}
    called = outputs(network, tasks, [*there])
    found = {path: module for path, module in there.items() if path in called}
    if not found:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise Problem(f"The network has no layer for low-rank parts ({names}). Use another encoder, or a trunk.")
    if not 0 < largest <= 1:
        raise Problem(f"largest={largest}: give a share of a layer's weight in (0, 1].")
    worthwhile = {path: module for path, module in found.items() if largest == 1 or _share(module, rank) <= largest}
    for path, module in (worthwhile or found).items():
        weight = module.get_parameter("weight")
        if rank > (most := min(weight.shape[0], weight[0].numel())):
            raise Problem(f"rank={rank}: {path} has rank {most} at most. Give 1 to {most}, or exclude it by `layers`.")
    if not worthwhile:
        raise Problem(
            f"rank={rank}: every part would have more than {largest:g} of its layer's numbers. Lower rank, or set largest=1."
        )
    return worthwhile


def _share(layer: nn.Module, rank: int) -> float:
    """The size of a part of this rank as a share of the weight's numbers."""
    weight = layer.get_parameter("weight")
    return rank * (len(weight) + weight[0].numel()) / weight.numel()
