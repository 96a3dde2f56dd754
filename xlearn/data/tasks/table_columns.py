"""Columns of a table to texts, images and sounds. Values that cannot be used are noted row by row."""

import math
import re
import unicodedata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xlearn.data.tasks import BETWEEN
from xlearn.data.tasks.decoding import Decoding, Pictures, read_pictures
from xlearn.data.tasks.sound import Reading, Sounds, read_sounds
from xlearn.data.tasks.tables import Table, stamp_of
from xlearn.runtime.errors import Problem

# Half of a character (a lone surrogate), which no encoding can write, and the end of a text in other languages.
UNREADABLE = re.compile("[\\ud800-\\udfff\\0]")
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
        if not isinstance(value, str) or unreadable(value):
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


def unreadable(text: str) -> str | None:
    """Why a text, which is not white space, cannot be read; None if it can."""
    if found := UNREADABLE.search(text):
        code = f"U+{ord(found.group()):04X}"
        return f"holds {code}, which is {'no character' if code == 'U+0000' else 'half of a character (a lone surrogate)'}"
    # Tokenisers drop U+FFFD too, which stands for bytes that were no characters.
    if text and not any(unicodedata.category(each)[0] in "LNPS" and each != "\ufffd" for each in text):
        return f"holds invisible characters only ({', '.join(f'U+{ord(each):04X}' for each in dict.fromkeys(text[:3]))})"
    return None


def texts(rows: Rows, columns: list[str]) -> tuple[list[str], Tensor]:
    """The values of each row, joined by `BETWEEN`, and bool `[n]` where one is not empty."""
    found, there = [], []
    for row, values in enumerate(zip(*(rows.table.column(column) for column in columns), strict=True)):
        parts = []
        for column, value in zip(columns, values, strict=True):
            text = "" if missing(value) else str(value).replace(BETWEEN, " ").strip()
            if isinstance(value, list | dict | bytes):
                rows.bad.setdefault(row, f"{column} holds {str(value)[:60]}, which is no text")
            elif why := unreadable(text):
                rows.bad.setdefault(row, f"{column} {why}")
            parts.append(text)
        found.append(BETWEEN.join(parts))
        there.append(any(parts))
    return found, torch.tensor(there)


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
