"""The layers that have private low-rank parts (LoRA, adapters), and the reasons of those that have none."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from torch import nn

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem, nearest
from xlearn.sharing.blocks import outputs
from xlearn.sharing.layer_kinds import NO_WEIGHT, kind, oriented

# Why a layer of a kind that can have a part has none.
CALLED_BY_NONE = "layers whose weights torch reads inside another module"
TOO_LARGE = "layers where a part would be too large (largest)"
NOT_NAMED = "layers that `layers` does not name"
# Embeddings, for a structure that leaves them out.
REASONS = {"embedding": "embeddings"}


class Chosen(NamedTuple):
    """`layers`: those with a part, by path. `without`: the paths with a matrix below the heads that have none, by reason."""

    layers: dict[str, nn.Module]
    without: dict[str, list[str]]

    def report(self, name: str) -> dict[str, Any]:
        """The entry of `result.json` for parts of this name."""
        return {"name": name, "layers": [*self.layers], "without": self.without}


def layers(
    network: Network,
    tasks: Mapping[str, Task],
    kinds: Sequence[str],
    rank: int,
    patterns: Sequence[str] | None = None,
    largest: float = 1.0,
) -> Chosen:
    """The layers of these kinds (see `xlearn.sharing.layer_kinds`) below the heads that are called and match a shell-style
    pattern (None: all). Left out are layers where a part of this rank would have more than the share `largest` of the weight's
    numbers.

    Raises: `Problem` for a rank below 1 or larger than a layer, for a pattern that matches no such layer, and without one.
    """
    if rank < 1:
        raise Problem(f"rank={rank}: give 1 or more.")
    if not 0 < largest <= 1:
        raise Problem(f"largest={largest}: give a share of a layer's weight in (0, 1].")
    below = {
        path: module
        for path, module in network.named_modules()
        if path
        and not f"{path}.".startswith(("head.", "sharing."))
        and any(each.ndim > 1 for each in module.parameters(recurse=False))
    }
    why = {path: kind(module) for path, module in below.items()}
    able = [path for path in below if why[path] in kinds]
    called = outputs(network, tasks, able)
    why |= {path: CALLED_BY_NONE for path in able if path not in called}
    _need_rank(below, [path for path in able if path in called and _named(path, patterns)], rank, largest)
    why |= {path: TOO_LARGE for path in able if why[path] in kinds and largest < 1 and _share(below[path], rank) > largest}
    for pattern in patterns or ():
        _need_match(pattern, why, kinds, largest)
    why |= {path: NOT_NAMED for path in below if why[path] in kinds and not _named(path, patterns)}
    found = {path: module for path, module in below.items() if why[path] in kinds}
    if not found and TOO_LARGE in why.values():
        raise Problem(
            f"rank={rank}: every part would have more than {largest:g} of its layer's numbers. Lower rank, or set largest=1."
        )
    if not found:
        lacking = "; ".join(f"{reason}: {', '.join(paths)}" for reason, paths in _by_reason(below, why, kinds).items())
        listed = f"linear or convolutional{'; ' * bool(lacking)}{lacking}"
        raise Problem(f"The network has no layer for low-rank parts ({listed}). Use another encoder, or a trunk.")
    return Chosen(found, _by_reason(below, why, kinds))


def _named(path: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(path, pattern) for pattern in patterns)


def _need_rank(below: Mapping[str, nn.Module], paths: Iterable[str], rank: int, largest: float) -> None:
    """Raise `Problem` for a layer whose weight has a smaller rank, unless every part of it would be too large anyway."""
    shapes = {path: oriented(below[path]) for path in paths}
    kept = [path for path in shapes if largest == 1 or _share(below[path], rank) <= largest]
    for path in kept or shapes:
        if rank > (most := min(shapes[path].shape[0], shapes[path][0].numel())):
            raise Problem(f"rank={rank}: {path} has rank {most} at most. Give 1 to {most}, or exclude it by `layers`.")


def _need_match(pattern: str, why: Mapping[str, str], kinds: Sequence[str], largest: float) -> None:
    """Raise `Problem` for a pattern that matches no layer with a part."""
    matched = [path for path in why if fnmatchcase(path, pattern)]
    able = [path for path in why if why[path] in kinds]
    if not matched:
        raise Problem(f"layers: {pattern!r} matches no layer that can have a low-rank part. {nearest(pattern, able)}")
    if any(path in able for path in matched):
        return
    if why[matched[0]] == TOO_LARGE:
        raise Problem(
            f"layers: for {pattern!r} every part would have more than {largest:g} of its layer's numbers. Lower rank, or set "
            "largest=1."
        )
    raise Problem(
        f"layers: {pattern!r} matches only {matched[0]}{' and others' * (len(matched) > 1)}, without low-rank parts "
        f"({why[matched[0]]}). Leave it out. {nearest(pattern, able)}"
    )


def _by_reason(below: Mapping[str, nn.Module], why: Mapping[str, str], kinds: Sequence[str]) -> dict[str, list[str]]:
    """The paths without a part, by reason; of parameters outside of layers their names."""
    found: dict[str, list[str]] = {}
    for path, reason in why.items():
        if reason == NO_WEIGHT:
            matrices = [name for name, each in below[path].named_parameters(recurse=False) if each.ndim > 1]
            found.setdefault(reason, []).extend(f"{path}.{name}" for name in matrices)
        elif reason not in kinds:
            found.setdefault(REASONS.get(reason, reason), []).append(path)
    return found


def _share(layer: nn.Module, rank: int) -> float:
    """The size of a part of this rank as a share of the weight's numbers."""
    weight = oriented(layer)
    return rank * (len(weight) + weight[0].numel()) / weight.numel()
