"""The examples of a data set before they are read: what their files, folders or rows say of each."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xlearn.data.tasks import Raw, RawColumn
from xlearn.data.tasks.decoding import SPLITS


@dataclass(frozen=True)
class Listing:
    """Of each example its `labels` (a position in `classes`; 0 where `labelled` is False), the word for its split, its name for
    people and its owner, as in `Raw`. `labelled` None: all are. `notes` are those of `Raw`.
    """

    classes: list[str]
    labels: list[int]
    splits: list[str]
    names: list[str]
    labelled: list[bool] | None = None
    owner: Tensor | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def raw(self, modality: str, column: RawColumn, rows: Tensor, origin: str, **more: Any) -> Raw:
        """The task of the examples that could be read: those in `rows`, int64 `[m]`, of which `column` and `more` hold values.

        `origin` names the data. A class of which nothing could be read is left out and named in the notes.
        """
        chosen = rows.tolist()
        labels, official = torch.tensor(self.labels)[rows], None
        labelled = None if self.labelled is None else torch.tensor(self.labelled)[rows]
        if len(set(self.splits)) > 1:
            official = torch.tensor([SPLITS[each.lower()] for each in self.splits], dtype=torch.int8)[rows]
        classes, notes = self.classes, {**self.notes, **more.pop("notes", {})}
        if len(chosen) < len(self.labels):
            classes, labels, lost = self._read(labels, labelled)
            notes |= {"classes_left_out": sorted({*notes.get("classes_left_out", []), *lost})} if lost else {}
        return Raw(
            {modality: column},
            labels,
            tuple(classes),
            "labels",
            official,
            notes,
            origin={modality: (origin, rows)},
            names=[self.names[row] for row in chosen],
            owner=None if self.owner is None else self.owner[rows],
            labelled=labelled,
            **more,
        )

    def _read(self, labels: Tensor, labelled: Tensor | None) -> tuple[list[str], Tensor, list[str]]:
        """(classes, labels, names of lost classes) without the classes that had examples, none of which could be read."""
        there = torch.ones(len(self.labels), dtype=torch.bool) if self.labelled is None else torch.tensor(self.labelled)
        before = torch.bincount(torch.tensor(self.labels)[there], minlength=len(self.classes))
        after = torch.bincount(labels if labelled is None else labels[labelled], minlength=len(self.classes))
        stays = (after > 0) | (before == 0)
        position = (stays.cumsum(0) - 1).clamp_min(0)
        names = [name for name, stay in zip(self.classes, stays.tolist(), strict=True) if stay]
        return names, position[labels], [name for name in self.classes if name not in names]
