"""Copying of weights from the source's network to the target's: strict selection, and a report."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xlearn.networks.entities import entity_rows, same_rows, with_rows
from xlearn.networks.network import Network, load
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import declared
from xlearn.sharing import COPIES

# The key of a head of classes: the name of the label space, then the number of its classes and their digest.
HEAD = re.compile(r"(.+?)(\d+_[0-9a-f]{6})")
NO_ENTITIES: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class Carried:
    """The tensors of both networks with their shapes: `copied`, `fresh` (the target keeps its initial value) and `unused`
    (of the source). `rows`: for copied tables of entities, the pairs (row of the source, row of the target) of the same entity;
    the target's other rows keep their initial values."""

    copied: dict[str, tuple[int, ...]]
    fresh: dict[str, tuple[int, ...]]
    unused: dict[str, tuple[int, ...]]
    rows: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """The content of `transfer.json`: names with shapes, counts of numbers, and for tables of entities the counts of
        rows.
        """
        parts = {"copied": self.copied, "fresh": self.fresh, "unused": self.unused}
        counts = {name: sum(torch.Size(shape).numel() for shape in part.values()) for name, part in parts.items()}
        for name, pairs in self.rows.items():
            rows, *row = self.copied[name]
            apart = (rows - len(pairs)) * torch.Size(row).numel()
            counts["copied"], counts["fresh"] = counts["copied"] - apart, counts["fresh"] + apart
        listed = {name: {key: list(shape) for key, shape in part.items()} for name, part in parts.items()}
        rows = {name: {"copied": len(pairs), "fresh": self.copied[name][0] - len(pairs)} for name, pairs in self.rows.items()}
        return {"numbers": counts, **listed, **({"rows": rows} if rows else {})}


def choose(
    source: Mapping[str, Tensor],
    target: Network,
    sharing: partial[list[str]],
    names: str,
    empty: bool = False,
    entities: Mapping[str, tuple[str, ...]] = NO_ENTITIES,
) -> Carried:
    """Select the tensors of `source` that are copied to `target` under `sharing`. `names`: "source -> target", for messages.

    `empty`: nothing has to be copied (distillation needs no common parameters), and tensors of different shapes are left out.
    `entities`: the ids of the rows of the source's tables of entities (see `xlearn.networks.entities`): of these the rows of
    common entities are copied.

    Raises: `Problem`, unless `empty`, if a common name has two shapes, or if nothing is copied though the sharing copies.
    """
    own = target.state_dict()
    common = [name for name in own if name in source]
    chosen = sharing(common, target)
    rows = {name: pairs for name, pairs in same_rows(entities, entity_rows(target)).items() if name in {*chosen}}
    chosen = [name for name in chosen if rows.get(name, True)]  # without tables that have no common entity
    clashes = [name for name in chosen if source[name].shape[name in rows :] != own[name].shape[name in rows :]]
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
    if not chosen and not empty and declared(sharing, COPIES).copied:
        fix = one_head(source, own) or (
            "Use sharing=all, a source of the same modality, a shared trunk (trunk=mlp), or transfer=scratch."
        )
        raise Problem(f"{names}: this sharing copies nothing. The source has {_tops(source)}, the target {_tops(own)}. {fix}")
    travels = set(chosen)
    return Carried(
        copied={name: tuple(own[name].shape) for name in own if name in travels},
        fresh={name: tuple(own[name].shape) for name in own if name not in travels},
        unused={name: tuple(value.shape) for name, value in source.items() if name not in travels},
        rows={name: pairs for name, pairs in rows.items() if name in travels},
    )


def carry(source: Mapping[str, Tensor], target: Network, carried: Carried) -> None:
    """Copy the selected tensors into `target`."""
    own = target.state_dict()
    by_id = {name: with_rows(own[name].cpu(), source[name], pairs) for name, pairs in carried.rows.items()}
    load(target, {name: by_id.get(name, source[name]) for name in carried.copied})


def one_head(source: Iterable[str], target: Iterable[str]) -> str:
    """A sentence for a target whose head has the classes of one of the source's, in their order, under another name; "" where
    there is none. Both are names of parameters; see `xlearn.label_spaces.keys`.
    """
    heads = [{name.split(".")[1] for name in names if name.startswith("head.")} for names in (source, target)]
    pairs = [[match for each in names if (match := HEAD.fullmatch(each))] for names in heads]
    for one, other in ((one, other) for one in pairs[0] for other in pairs[1]):
        if one[2] == other[2] and one[1] != other[1]:
            return (
                f"Both predict the same classes, but their heads are called {one[1]} and {other[1]}: if the classes "
                f"mean the same, give both one head, target.head={one[1]} (and source.NAME.head={one[1]} if that is "
                "not the source's own name for it)."
            )
    return ""


def _top(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _tops(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted({_top(name) for name in names})) or "nothing"
