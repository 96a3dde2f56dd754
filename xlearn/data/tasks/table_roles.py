"""Which columns of a table play which part: checked before any of them is read."""

from collections.abc import Iterable
from typing import Any, get_args

import torch
from torch import Tensor

from xlearn.data.tasks import OPEN
from xlearn.data.tasks.decoding import SPLITS
from xlearn.data.tasks.table_columns import missing
from xlearn.data.tasks.table_labels import MissingLabels
from xlearn.data.tasks.tables import Table
from xlearn.runtime.errors import Problem, Problems, nearest

# Keys of columns that networks read. Those of `TABULAR` stand in one table of numbers, by their names.
TABULAR = ("numeric", "boolean", "category")
MODALITIES = ("text", "image", "audio", "numeric", "category", "boolean", "date")

DECIMALS = {"point": ".", "comma": ","}


def listed(columns: list[str] | str | None) -> list[str]:
    return [] if columns is None else [columns] if isinstance(columns, str) else list(columns)


def check_words(*, decimal: str | None, missing_labels: str) -> str | None:
    """The decimal mark as a character. Raises `Problem` for a word that is none of its key's."""
    if decimal not in (None, *DECIMALS, *DECIMALS.values()):
        raise Problem(f"decimal={decimal}: give point or comma, or null to find it.")
    if missing_labels not in get_args(MissingLabels):
        raise Problem(f"missing_labels={missing_labels}: {nearest(missing_labels, get_args(MissingLabels))}")
    return None if decimal is None else DECIMALS.get(decimal, decimal)


def check_columns(table: Table, named: dict[str, list[str]], roles: dict[str, list[str]]) -> None:
    """`named`: the columns that networks read, by key. `roles`: those of labels, splits and owners. Raises `Problems`."""
    problems = []
    for key, columns in (named | roles).items():
        for column in columns:
            lacking = [part.name for part in table.parts if column not in part.columns]
            if len(lacking) == len(table.parts):
                problems.append(f"{key}={column}: {table.name} has no such column. {nearest(column, table.names)}")
            elif lacking:
                problems.append(f"{key}={column}: {lacking[0]} has no such column, other files have. Add it there.")
        problems += [
            f"{key}: {column} is named twice. Name it once."
            for column in dict.fromkeys(each for each in columns if columns.count(each) > 1)
        ]
    kinds: dict[str, str] = {}
    for key in TABULAR:
        for column in dict.fromkeys(named[key]):
            if column in kinds:
                problems.append(f"{key}={column} is named under {kinds[column]} too. Name it under one of them.")
            kinds[column] = key
    read = {column: key for key in MODALITIES for column in named[key]}
    if not read:
        problems.append(f"{', '.join(MODALITIES[:-1])} and {MODALITIES[-1]} are all null: name a column for at least one.")
    answers = {"label": "the network would read its own answer", "split": "it tells the splits apart",
               "split_by": "no test row has its value in training"}  # fmt: skip
    for key, why in answers.items():
        problems += [
            f"{read[column]}={column} is the {key} too; {why}. Name another column." for column in roles[key] if column in read
        ]
    answer, owner = roles["label"], roles["split_by"]
    problems += [f"split_by={each} is the label too. Name another column." for each in owner if each in answer]
    if problems:
        raise Problems(problems)


def official_splits(table: Table, split: str | None) -> Tensor | None:
    """int8 `[n]`: OPEN, VAL or TEST, by the column, else by the names of files; None without either."""
    if split is None:
        told: Iterable[Any] | None = table.splits()
        if told is None:
            return None
    else:
        told = table.column(split)
    found = []
    for row, value in enumerate(told):
        word = str(value).strip().lower()
        if missing(value) or word not in SPLITS:
            raise Problem(
                f"split={split}: {table.place(row)} holds {value!r}, which is neither training, validation nor test. "
                f"{nearest(word, SPLITS)}"
            )
        found.append(SPLITS[word])
    if OPEN not in found:
        raise Problem(f"file={table.name}: no row is for training, by {split or 'the names of its files'}. Call some train.")
    return torch.tensor(found, dtype=torch.int8)
