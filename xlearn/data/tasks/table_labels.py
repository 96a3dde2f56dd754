"""The column of labels: classes, rows without a label, and spellings of one class."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from xlearn.data.tasks.table_columns import Rows, missing, unreadable
from xlearn.data.tasks.table_numbers import NUMBER
from xlearn.runtime.errors import Problem, nearest

# Words for a missing label; an empty cell is one in any case.
NO_LABEL = {"na", "nan", "none", "null", "n/a", "?"}
MissingLabels = Literal["unlabelled", "keep"]


class Labels(NamedTuple):
    """Positions int64 `[n]` (-1 without a label), the classes, and notes."""

    positions: Tensor
    classes: list[str]
    notes: dict[str, Any]


def labels(
    rows: Rows, column: str, *, missing_labels: MissingLabels, normalise: bool, class_names: Sequence[str] | None
) -> Labels:
    """Numbers are classes in numeric order, so that 2 comes before 10. Names are in NFC, without white space around them.

    `missing_labels`: `unlabelled`, or `keep` for classes called NA, none, ... `normalise`: classes that differ in case, white
    space and width of letters only are one, named as most of its rows. `class_names`: all classes there are.
    """
    values = rows.table.column(column)
    names: list[str] = []
    words: Counter[str] = Counter()
    for row, value in enumerate(values):
        if missing(value):
            names.append("")
            continue
        if not isinstance(value, str | int | float):
            raise Problem(f"label={column}: {rows.table.place(row)} holds {value!r}. Name a column of whole numbers or words.")
        if why := unreadable(name := str(value).strip()):
            rows.bad.setdefault(row, f"{column} {why}")
            name = ""
        if missing_labels == "unlabelled" and name.lower() in NO_LABEL:
            words[name] += 1
            name = ""
        names.append(name)
    notes: dict[str, Any] = {}
    if words:
        notes["missing_labels"] = [f"{word} ({count})" for word, count in sorted(words.items())]
    names = _without_decimals(rows, column, names)
    composed = [unicodedata.normalize("NFC", name) for name in names]
    if len(set(composed)) < len(set(names)):
        notes["labels_composed"] = sum(map(str.__ne__, composed, names))
    names = composed
    spellings = _spellings(names)
    if normalise:
        usual = {each: variants[0] for variants in spellings for each in variants}
        notes["labels_normalised"] = sum(name in usual and usual[name] != name for name in names)
        names = [usual.get(name, name) for name in names]
    elif spellings:
        notes["label_variants"] = [" = ".join(map(repr, variants)) for variants in spellings]
    found = {name for name in names if name}
    if class_names is not None:
        _need_among(rows, column, names, class_names)
        found = set(class_names)
    numeric = all(NUMBER.fullmatch(name) for name in found)
    classes = sorted(found, key=lambda name: (float(name), name)) if numeric else sorted(found)
    position = {name: number for number, name in enumerate(classes)}
    return Labels(torch.tensor([position.get(name, -1) for name in names]), classes, notes)


def _without_decimals(rows: Rows, column: str, names: list[str]) -> list[str]:
    """Where all labels are numbers 3.0 becomes 3, because a missing value turns whole numbers of a file into decimals; 007
    stays. Raises `Problem` for a number that is not whole.
    """
    if not all(NUMBER.fullmatch(name) for name in names if name):
        return names
    for row, name in enumerate(names):
        if name and not float(name).is_integer():
            raise Problem(
                f"label={column}: {rows.table.place(row)} holds {name}, which is no whole number. "
                "Name a column of whole numbers or words."
            )
    return [re.sub(r"(?<=\d)\.0*$", "", name) for name in names]


def _spellings(names: list[str]) -> list[list[str]]:
    """Groups of names that differ in case, white space and width of letters only, the most frequent first."""
    counts = Counter(name for name in names if name)
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return [variants for variants in groups.values() if len(variants) > 1]


def _need_among(rows: Rows, column: str, names: list[str], class_names: Sequence[str]) -> None:
    if len(set(class_names)) < max(2, len(class_names)):
        raise Problem(f"class_names={list(class_names)}: name two classes or more, each once.")
    for row, name in enumerate(names):
        if name and name not in class_names:
            raise Problem(
                f"class_names: {rows.table.place(row)} has the label {name!r} in {column}. {nearest(name, class_names)}"
            )
