"""Columns of a table to labels, texts, numbers, images and sounds. Values that cannot be used are noted row by row."""

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xlearn.data.tasks.decoding import Decoding, Pictures, read_pictures
from xlearn.data.tasks.sound import Reading, Sounds, read_sounds
from xlearn.data.tasks.tables import Table, stamp_of
from xlearn.runtime.errors import Problem

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Spellings of a missing number, as in pandas. (In a column of words "NA" may be a word, such as Namibia.)
NO_NUMBER = {"", "na", "n/a", "nan", "null", "none", "-", "?", "<na>", "#n/a"}
SHOWN = 10


class Rows:
    """The rows of a table, and why some of them are `bad` (by position)."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.bad: dict[int, str] = {}

    def refuse_bad(self) -> None:
        if self.bad:
            shown = "\n  ".join(f"{self.table.place(row)}: {self.bad[row]}" for row in sorted(self.bad)[:SHOWN])
            raise Problem(
                f"file={self.table.name}: {len(self.bad)} row(s) cannot be used. Repair or remove them, or set "
                f"skip_bad=true:\n  {shown}"
            )

    def files(self, key: str, column: str) -> list[Path | bytes | None]:
        """Paths or contents, None for missing values. A path without a file makes its row bad."""
        values = [_content(value) for value in self.table.column(column)]
        if all(missing(value) for value in values):
            raise Problem(f"{key}={column}: that column of {self.table.name} is empty in every row. Name another, or null.")
        return [self._file(row, column, value) for row, value in enumerate(values)]

    def _file(self, row: int, column: str, value: Any) -> Path | bytes | None:
        if missing(value):
            return None
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            self.bad.setdefault(row, f"{column} holds {value!r}, which is no path")
            return None
        try:
            path = self.table.folder / Path(value.strip()).expanduser()
            there = path.is_file()
        except (OSError, RuntimeError, ValueError):  # a text that is too long for a name, or begins with ~
            self.bad.setdefault(row, f"{column} holds {value[:60]!r}, which is no path")
            return None
        if not there:
            self.bad.setdefault(row, f"{column}: there is no file {path}")
            return None
        return path


def _content(value: Any) -> Any:
    """The bytes, else the path, of a value that `datasets` stores as `{bytes, path}`; any other value unchanged."""
    return (value.get("path") if value.get("bytes") is None else value["bytes"]) if isinstance(value, dict) else value


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value.strip())


def labels(rows: Rows, column: str) -> tuple[Tensor, list[str]]:
    """Positions int64 `[n]` (-1 in bad rows), and the classes: numbers in numeric order, so that 2 comes before 10."""
    values = rows.table.column(column)
    for row, value in enumerate(values):
        if missing(value):
            rows.bad.setdefault(row, f"{column} is missing")
        elif not isinstance(value, str | int | float):
            raise Problem(f"label={column}: {rows.table.place(row)} holds {value!r}. Name a column of whole numbers or words.")
    names = ["" if missing(value) else str(value).strip() for value in values]
    if all(NUMBER.fullmatch(name) for name in names if name):
        for row, name in enumerate(names):
            if name and not float(name).is_integer():
                raise Problem(
                    f"label={column}: {rows.table.place(row)} holds {name}, which is no whole number. "
                    "Name a column of whole numbers or words."
                )
        # 3.0 becomes 3, because a missing value turns whole numbers of a file into decimals; 007 stays.
        names = [re.sub(r"(?<=\d)\.0*$", "", name) for name in names]
        classes = sorted({name for name in names if name}, key=lambda name: (float(name), name))
    else:
        classes = sorted({name for name in names if name})
    position = {name: number for number, name in enumerate(classes)}
    return torch.tensor([position.get(name, -1) for name in names]), classes


def texts(rows: Rows, columns: list[str]) -> tuple[list[str], Tensor]:
    """The columns of each row joined by a space, and bool `[n]` where that is not empty."""
    found = []
    for row, values in enumerate(zip(*(rows.table.column(column) for column in columns), strict=True)):
        for column, value in zip(columns, values, strict=True):
            if isinstance(value, list | dict | bytes):
                rows.bad.setdefault(row, f"{column} holds {str(value)[:60]}, which is no text")
        found.append(" ".join(str(value).strip() for value in values if not missing(value)))
    return found, torch.tensor([bool(each) for each in found])


def numbers(rows: Rows, columns: list[str]) -> tuple[Tensor, Tensor]:
    """float32 `[n, columns]` with NaN for missing values, and bool `[n]`: which rows have any number."""
    read = []
    for column in columns:
        values = rows.table.column(column)
        if all(missing(value) or str(value).strip().lower() in NO_NUMBER for value in values):
            raise Problem(f"numeric={column}: that column of {rows.table.name} holds no number. Leave it out.")
        read.append([_number(rows, row, column, value) for row, value in enumerate(values)])
    found = torch.tensor(read, dtype=torch.float64).T.float().contiguous()
    for row in torch.nonzero(found.isinf().any(1)).flatten().tolist():
        rows.bad.setdefault(row, f"a number among {', '.join(columns)} is infinite")
    return found, ~found.isnan().all(1)


def _number(rows: Rows, row: int, column: str, value: Any) -> float:
    if missing(value):
        return math.nan
    if isinstance(value, str):
        word = value.strip()
        if NUMBER.fullmatch(word):
            return float(word)
        if word.lower() in NO_NUMBER:
            return math.nan
    else:
        try:
            return float(value)  # also bool, and the decimals of Parquet
        except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
            pass
    rows.bad.setdefault(row, f"{column} holds {repr(value)[:60]}, which is no number")
    return math.nan


def images(rows: Rows, given: list[Path | bytes | None], how: Decoding) -> tuple[Pictures, Tensor]:
    """The pictures of all rows, black without one, and bool `[n]`: which rows have one."""
    wanted = [row for row, value in enumerate(given) if value is not None and row not in rows.bad]
    there = torch.zeros(len(given), dtype=torch.bool)
    there[wanted] = True
    values = ({"bytes": value} if isinstance(value, bytes) else str(value) for value in given)
    chosen = (value if kept else None for value, kept in zip(values, there.tolist(), strict=True))
    names = [rows.table.place(row) for row in range(len(given))]
    found = read_pictures(chosen, names, how, f"{_stamp(given, wanted)} {wanted}", gaps=True)
    for row in found.bad:
        rows.bad[row] = "its image cannot be read"
    there[found.bad] = False
    return found, there


def sounds(rows: Rows, given: list[Path | bytes | None], how: Reading) -> tuple[Sounds, Tensor]:
    """The sounds of all rows, empty without one, and bool `[n]`: which rows have one."""
    wanted = [row for row, value in enumerate(given) if value is not None and row not in rows.bad]
    usable = [value if row not in rows.bad else None for row, value in enumerate(given)]
    found = read_sounds(usable, how, f"{_stamp(given, wanted)} {wanted}")
    for row in torch.nonzero(found.bad).flatten().tolist():
        rows.bad[row] = "its sound cannot be read"
    return found, found.waves.lengths > 0


def _of(given: list[Path | bytes | None], wanted: list[int]) -> list[tuple[int, Path | bytes]]:
    return [(row, value) for row in wanted if (value := given[row]) is not None]


def _stamp(given: list[Path | bytes | None], wanted: list[int]) -> str:
    values = [value for _, value in _of(given, wanted)]
    return stamp_of([each for each in values if isinstance(each, Path)], [each for each in values if isinstance(each, bytes)])
