"""Copying of weights from the source's network to the target's: strict selection, and a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xlearn.networks.network import Network, load
from xlearn.runtime.errors import Problem
from xlearn.sharing._none import none


@dataclass(frozen=True)
class Carried:
    """The tensors of both networks with their shapes: `copied`, `fresh` (the target keeps its initial value) and `unused`
    (of the source)."""

    copied: dict[str, tuple[int, ...]]
    fresh: dict[str, tuple[int, ...]]
    unused: dict[str, tuple[int, ...]]

    def report(self) -> dict[str, Any]:
        """The content of `transfer.json`: names with shapes, and counts of numbers."""
        parts = {"copied": self.copied, "fresh": self.fresh, "unused": self.unused}
        counts = {name: sum(torch.Size(shape).numel() for shape in part.values()) for name, part in parts.items()}
        listed = {name: {key: list(shape) for key, shape in part.items()} for name, part in parts.items()}
        return {"numbers": counts, **listed}


def choose(
    source: Mapping[str, Tensor],
    target: Network,
    sharing: partial[list[str]],
    names: str,
    empty: bool = False,
) -> Carried:
    """Select the tensors of `source` that are copied to `target` under `sharing`. `names`: "source -> target", for messages.

    `empty`: nothing has to be copied (distillation needs no common parameters), and tensors of different shapes are left out.

    Raises: `Problem`, unless `empty`, if a common name has two shapes, or if nothing is copied though the sharing copies.
    """
    own = target.state_dict()
    common = [name for name in own if name in source]
    chosen = sharing(common, target)
    clashes = [name for name in chosen if source[name].shape != own[name].shape]
    if clashes and empty:
        # Leave out whole modules, so that no bias is copied without its weight.
        apart = {_top(name) for name in clashes}
        chosen, clashes = [name for name in chosen if _top(name) not in apart], []
    if clashes:
        listed = ", ".join(f"{name} {tuple(source[name].shape)} and {tuple(own[name].shape)}" for name in clashes[:5])
        raise Problem(
            f"{names}: parameters with the same name have different shapes: {listed}. Use the same encoder and "
            "sizes for both (fusion=mean with a fusion.width maps all modalities to one width), or copy less (sharing=encoder)."
        )
    if not chosen and not empty and sharing.func is not none:
        raise Problem(
            f"{names}: this sharing copies nothing. The source has {_tops(source)}, the target {_tops(own)}. "
            "Use sharing=all, a source of the same modality, a shared trunk (trunk=mlp), or transfer=scratch."
        )
    travels = set(chosen)
    return Carried(
        copied={name: tuple(own[name].shape) for name in own if name in travels},
        fresh={name: tuple(own[name].shape) for name in own if name not in travels},
        unused={name: tuple(value.shape) for name, value in source.items() if name not in travels},
    )


def carry(source: Mapping[str, Tensor], target: Network, carried: Carried) -> None:
    """Copy the selected tensors into `target`."""
    load(target, {name: source[name] for name in carried.copied})


def _top(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _tops(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted({_top(name) for name in names})) or "nothing"
