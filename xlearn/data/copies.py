"""Which rows of a data set are copies of each other, and which stay on one side of its splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xlearn.data.content import mixed, of_column
from xlearn.data.tasks import Raw
from xlearn.runtime.memory import Kept

# `duplicates`: copies stay on one side of every split; only the first of them is used; they are only counted.
TOGETHER, DROP, KEEP = "together", "drop", "keep"
RULES = (TOGETHER, DROP, KEEP)

_digests: Kept[Tensor] = Kept()


@dataclass(frozen=True)
class Copies:
    """`content int64 [n]`: equal where all modalities of two rows are (texts nearly, see `xlearn.data.content`). `first int64
    [n]`: the first row of the same content. `units int64 [n]`: rows of one unit stay on one side of every split; None: every
    row is a unit by itself. `unused bool [n]`: rows that no split has.
    """

    content: Tensor
    first: Tensor
    units: Tensor | None
    unused: Tensor | None = None

    @property
    def repeats(self) -> Tensor:
        """bool `[n]`: the rows that are copies of an earlier one."""
        return self.first != torch.arange(len(self.first))


def content(raw: Raw, fingerprint: str, modalities: Sequence[str]) -> dict[str, Tensor]:
    """By modality the digests of all rows, int64 `[n]`; 0 for a row that lacks the modality. Kept by the data's fingerprint."""
    return {name: _digests((fingerprint, name), lambda name=name: digests_of(raw, name)) for name in modalities}


def digests_of(raw: Raw, name: str) -> Tensor:
    """The digests of one modality, int64 `[n]`; 0 for a row that lacks it, and where it says nothing: equal numbers in a table
    of a single column are no copies.
    """
    if name not in raw.content and isinstance(column := raw.inputs[name], Tensor) and column[0].numel() == 1:
        return torch.zeros(len(column), dtype=torch.int64)
    found = raw.content[name] if name in raw.content else of_column(raw.inputs[name], raw.columns, raw.rate)
    return torch.where(raw.present[name], found, 0) if name in raw.present else found


def whole(digests: Mapping[str, Tensor]) -> Tensor:
    """int64 `[n]`: one digest of all modalities of a row; 0 if it has none."""
    return mixed(digests[name] for name in sorted(digests))


def copies(raw: Raw, digests: Mapping[str, Tensor], rule: str) -> Copies:
    """The copies of a data set, under a rule of `RULES`, and its units: rows of equal content (unless `keep`), and rows of one
    owner (`Raw.owner`), also where one leads to the other.
    """
    found = whole(digests)
    # Rows without a digest are no copies of each other.
    first = torch.where(found == 0, torch.arange(len(found)), first_rows(found))
    units, unused = None, None
    repeated = bool((first != torch.arange(len(first))).any())
    if repeated and rule == TOGETHER:
        units = first
    if repeated and rule == DROP:
        unused = (first != torch.arange(len(first))) | contradicted(raw, first)
    if raw.owner is not None:
        units = first_rows(raw.owner) if units is None else _connected(first_rows(raw.owner), units)
    if units is not None and bool((units == torch.arange(len(units))).all()):
        units = None
    return Copies(found, first, units, unused)


def first_rows(values: Tensor) -> Tensor:
    """int64 `[n]`: for each row the first one with the same value."""
    _, inverse = values.unique(return_inverse=True)
    rows = torch.arange(len(values))
    first = torch.full((int(inverse.max()) + 1 if len(values) else 0,), len(values))
    return first.scatter_reduce_(0, inverse, rows, "amin")[inverse]


def contradicted(raw: Raw, first: Tensor) -> Tensor:
    """bool `[n]`: rows of equal content with different classes. None in label spaces without groups: equal inputs may have
    different values there.
    """
    known = raw.known
    if not raw.label_space.group:
        return torch.zeros(len(first), dtype=torch.bool)
    strata, count = raw.strata, len(first)
    highest = torch.full((count,), -1).scatter_reduce_(0, first[known], strata[known], "amax")
    lowest = torch.full((count,), len(raw.groups)).scatter_reduce_(0, first[known], strata[known], "amin")
    return (highest > lowest)[first]


def _connected(one: Tensor, other: Tensor) -> Tensor:
    """int64 `[n]`: the first row of each row's component, where rows of an equal value in either are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(one)
    rows = torch.arange(count).repeat(2).numpy()
    places = torch.cat([one, other + count]).numpy()
    edges = coo_array((torch.ones(2 * count).numpy(), (rows, places + count)), shape=(3 * count, 3 * count))
    _, component = connected_components(edges, directed=False)
    return first_rows(torch.from_numpy(component[:count].astype("int64")))


def counted(raw: Raw, found: Copies, rule: str) -> dict[str, Any]:
    """Notes on copies: `copies_RULE`, the number of rows that are copies of earlier rows; `contradictions`: contents that stand
    with different classes.
    """
    repeats = found.repeats
    notes: dict[str, Any] = {}
    if count := int(repeats.sum()):
        notes[f"copies_{rule}"] = count
        if torn := len(found.first[contradicted(raw, found.first)].unique()):
            notes["contradictions"] = torn
    return notes
