"""The examples that weights have learned from: written into their file, and handed on by all weights that begin with them.

The header of `weights.safetensors` has them as digests of content by modality, and as positions in named data (`Raw.origin`).
So a copy of the file is recognised wherever it lies, and examples by whatever name.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import torch
from torch import Tensor

from xlearn.data.copies import whole
from xlearn.data.task import Task
from xlearn.runtime.storage import read_header, read_tensors

# The key of the header.
LEARNED_FROM = "xlearn.learned_from"
# Digests and positions that fit into a header, which safetensors bounds at 100 MB.
MOST = 6_000_000


@dataclass(frozen=True)
class Provenance:
    """`blocks`: by modality the digests of the same rows, int64 `[n]`, one block for each set of modalities. `places`: by name
    of the original data the positions there, int64 `[m]`. `unknown`: weights of which it is not known what they learned from.
    `file`: where it was read, for messages.
    """

    blocks: tuple[dict[str, Tensor], ...] = ()
    places: Mapping[str, Tensor] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    file: str = ""

    def matched(self, digests: Mapping[str, Tensor], origin: Mapping[str, Tensor], count: int) -> Tensor:
        """bool `[count]`: which rows were learned from: those equal in all modalities that both have, or with the same place in
        the same data. `digests[modality]` and `origin[name]`: int64 `[count]`.
        """
        found = torch.zeros(count, dtype=torch.bool)
        for block in self.blocks:
            if common := sorted(block.keys() & digests.keys()):
                mine, theirs = (whole({name: each[name] for name in common}) for each in (digests, block))
                found |= torch.isin(mine, theirs) & (mine != 0)  # 0: the row has none of these modalities
        for name in self.places.keys() & origin.keys():
            found |= torch.isin(origin[name], self.places[name])
        return found

    def joined(self, *others: "Provenance") -> "Provenance":
        """That of weights that have learned from all of these."""
        every = (self, *others)
        grouped: dict[tuple[str, ...], list[dict[str, Tensor]]] = {}
        for each in every:
            for block in each.blocks:
                grouped.setdefault(tuple(sorted(block)), []).append(block)
        blocks = [{name: torch.cat([block[name] for block in found]) for name in names} for names, found in grouped.items()]
        places = {
            name: torch.cat([each.places[name] for each in every if name in each.places]).unique()
            for name in dict.fromkeys(name for each in every for name in each.places)
        }
        unknown = tuple(dict.fromkeys(name for each in every for name in each.unknown))
        return Provenance(tuple(map(_once, blocks)), places, unknown)

    def header(self) -> dict[str, str]:
        """The metadata of a file of weights. What does not fit is unknown to whatever reads it."""
        count = sum(len(each) for block in (*self.blocks, self.places) for each in block.values())
        if count > MOST:
            return Provenance(unknown=(*self.unknown, f"a run that read {count:,} examples, too many for a header")).header()
        written = {
            "version": 1,
            "rows": [{name: _packed(each) for name, each in block.items()} for block in self.blocks],
            "places": {name: _packed(each) for name, each in self.places.items()},
            "unknown": list(self.unknown),
        }
        return {LEARNED_FROM: json.dumps(written)}


def read(file: Path) -> Provenance:
    """What the weights in `file`, or in the folder of a run, have learned from; unknown for files that do not say it."""
    file = file / "weights.safetensors" if file.is_dir() else file
    try:
        written = json.loads(read_header(file).get(LEARNED_FROM, ""))
        blocks = tuple({name: _unpacked(each) for name, each in block.items()} for block in written["rows"])
        if any(len({*map(len, block.values())}) != 1 for block in blocks):
            raise ValueError("modalities of different lengths")
        places = {name: _unpacked(each) for name, each in written["places"].items()}
        return Provenance(blocks, places, tuple(map(str, written["unknown"])), str(file))
    except (ValueError, KeyError, TypeError, AttributeError):  # without, or of another version
        # Earlier versions wrote the positions into a file of their own.
        earlier = file.parent / "used.safetensors"
        return Provenance(places=read_tensors(earlier) if earlier.is_file() else {}, unknown=(str(file),), file=str(file))


def of_tasks(tasks: Iterable[Task]) -> Provenance:
    """The rows that tasks learned from, or may have (unlabelled, or to select)."""
    found = Provenance()
    for task in tasks:
        rows = torch.cat([task.train.rows, task.val.rows, task.unlabeled.rows])
        block = {name: task.content[name][rows] for name in task.inputs if name in task.content}
        places = {name: place[rows].unique() for name, place in task.origin.items() if name != task.data}
        found = found.joined(Provenance((block,) if block else (), places))
    return found


def _once(block: dict[str, Tensor]) -> dict[str, Tensor]:
    rows = torch.stack([block[name] for name in sorted(block)], 1).unique(dim=0)
    return dict(zip(sorted(block), rows.unbind(1), strict=True))


def _packed(numbers: Tensor) -> str:
    return base64.b64encode(numbers.numpy().astype("<i8").tobytes()).decode()


def _unpacked(text: str) -> Tensor:
    return torch.from_numpy(numpy.frombuffer(base64.b64decode(text), "<i8").astype(numpy.int64))
