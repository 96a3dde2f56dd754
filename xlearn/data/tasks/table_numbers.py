"""Columns of numbers, truth values and categories; which columns they are, and how decimals are written."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from xlearn.data.content import of_word
from xlearn.data.tasks.table_columns import Rows, missing, unreadable
from xlearn.data.tasks.tables import Table
from xlearn.runtime.errors import Problem, nearest

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Spellings of a missing number, as in pandas. (In a column of words "NA" may be a word, such as Namibia.)
NO_NUMBER = {"", "na", "n/a", "nan", "null", "none", "-", "?", "<na>", "#n/a"}
MARKED = re.compile(r"[+-]?(\d*)([.,\d]*[.,])(\d*)([eE][+-]?\d+)?")
GROUPED = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+") for mark in ".,"}
TRUTH = {"true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0, "1": 1.0, "1.0": 1.0,
         "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0, "0": 0.0, "0.0": 0.0}  # fmt: skip


def chosen(table: Table, given: str | Sequence[str] | None, others: Iterable[str]) -> list[str]:
    """The names in `numeric`, patterns such as `x*` replaced by the columns that they match, `all` by every column of numbers.

    `all` and patterns leave out `others`, which are named elsewhere. Raises `Problem` for a pattern that matches nothing.
    """
    words = [given] if isinstance(given, str) else list(given or ())
    free = [name for name in table.names if name not in set(others)]
    found: list[str] = []
    for word in words:
        if word in table.names:
            found.append(word)
            continue
        pattern = any(mark in word for mark in "*?[")
        if word == "all":
            some = [name for name in free if _holds_numbers(table.column(name))]
        else:
            some = [name for name in free if fnmatchcase(name, word)] if pattern else [word]
        if not some:
            why = "no column holds numbers only" if word == "all" else f"no column is called so. {nearest(word, free)}"
            raise Problem(f"numeric={word}: {table.name}: {why}" + "." * (word == "all"))
        found += [name for name in some if (not pattern and word != "all") or name not in found]
    return found


def _holds_numbers(values: list[Any]) -> bool:
    """Whether all cells but the missing ones hold numbers, and one does."""
    some = False
    for value in values:
        if missing(value) or (isinstance(value, str) and value.strip().lower() in NO_NUMBER):
            continue
        if isinstance(value, bool) or not (
            isinstance(value, int | float) or (isinstance(value, str) and any(_read(value, mark) is not None for mark in ".,"))
        ):
            return False
        some = True
    return some


def _read(word: str, decimal: str) -> float | None:
    """The number in a word, thousands separated by the other mark or not; None if it is none."""
    word = word.strip()
    thousands = "," if decimal == "." else "."
    if thousands in word:
        whole = word.split(decimal)[0]
        if not GROUPED[thousands].fullmatch(whole):
            return None
        word = word.replace(thousands, "")
    word = word.replace(decimal, ".") if decimal != "." else word
    return float(word) if NUMBER.fullmatch(word) else None


def _decimal_of(word: str) -> str | None:
    """The decimal mark that a number shows; "" where both marks would do, as in 1,234; None without a mark, or no number."""
    marked = MARKED.fullmatch(word)
    if not marked:
        return None
    last = word[marked.end(2) - 1]
    other = "," if last == "." else "."
    if word.count(last) > 1:  # 1,234,567
        return other if _read(word, other) is not None else None
    if other in word or _read(word, other) is None:  # 1.234,5 and 3,14
        return last if _read(word, last) is not None else None
    return ""


def decimal_mark(rows: Rows, columns: Sequence[str]) -> str:
    """The decimal mark of the file's numbers, by those that show it. Raises `Problem` where they contradict each other, and
    where a number such as 1,234 could be two.
    """
    shown: dict[str, tuple[int, str]] = {}
    texts = [[value if isinstance(value, str) else "" for value in rows.table.column(column)] for column in columns]
    if not any("," in word or word.count(".") > 1 for words in texts for word in words):
        return "."
    for words in texts:
        for row, word in enumerate(words):
            if (mark := _decimal_of(word.strip())) is not None and (mark or "," in word):
                shown.setdefault(mark, (row, word.strip()))
    told = {mark: f"{word} ({rows.table.place(row)})" for mark, (row, word) in shown.items()}
    if "." in shown and "," in shown:
        raise Problem(
            f"decimal=null: {told['.']} has a decimal point and {told[',']} a decimal comma. Set decimal=point or comma."
        )
    if set(shown) == {""}:
        raise Problem(
            f"decimal=null: {told['']} could be a decimal comma or a separator of thousands. Set decimal=comma or point."
        )
    return "," if "," in shown else "."


def numbers(rows: Rows, columns: Sequence[str], decimal: str = ".") -> Tensor:
    """float64 `[n, columns]` with NaN for missing values. Any other value that is no finite number makes its row bad."""
    read = []
    for column in columns:
        values = rows.table.column(column)
        if all(missing(value) or str(value).strip().lower() in NO_NUMBER for value in values):
            raise Problem(f"numeric={column}: that column of {rows.table.name} holds no number. Leave it out.")
        read.append([_number(rows, row, column, value, decimal) for row, value in enumerate(values)])
    found = torch.tensor(read, dtype=torch.float64).reshape(len(columns), len(rows.table)).T.contiguous()
    # float32 is what networks read, after the numbers are standardised.
    for row in torch.nonzero((found.abs() > torch.finfo(torch.float32).max).any(1)).flatten().tolist():
        rows.bad.setdefault(row, f"a number among {', '.join(columns)} is infinite")
    return found


def _number(rows: Rows, row: int, column: str, value: Any, decimal: str) -> float:
    if missing(value):
        return math.nan
    if isinstance(value, str):
        if (found := _read(value, decimal)) is not None:
            return found
        if value.strip().lower() in NO_NUMBER:
            return math.nan
    else:
        try:
            return float(value)  # also bool, and the decimals of Parquet
        except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
            pass
    rows.bad.setdefault(row, f"{column} holds {repr(value)[:60]}, which is no number")
    return math.nan


def booleans(rows: Rows, columns: Sequence[str]) -> Tensor:
    """float64 `[n, columns]`: 1 for true, t, yes, y and 1 in any case, 0 for their opposites, NaN for missing values."""
    read = []
    for column in columns:
        found = []
        for row, value in enumerate(rows.table.column(column)):
            word = "" if missing(value) else str(value).strip().lower()
            if word not in TRUTH and word not in NO_NUMBER:
                rows.bad.setdefault(
                    row, f"{column} holds {repr(value)[:60]}, which is neither true nor false (other words: category={column})"
                )
            found.append(TRUTH.get(word, math.nan))
        _need_some(rows, "boolean", column, found)
        read.append(found)
    return torch.tensor(read, dtype=torch.float64).reshape(len(columns), len(rows.table)).T


def categories(rows: Rows, columns: Sequence[str]) -> Tensor:
    """float64 `[n, columns]`: digests of words in NFC (`xlearn.data.content.of_word`), NaN for empty cells. 3.0 is 3."""
    read = []
    for column in columns:
        known: dict[str, float] = {}
        found = []
        for row, value in enumerate(rows.table.column(column)):
            word = "" if missing(value) else unicodedata.normalize("NFC", str(value).strip())
            if isinstance(value, list | dict | bytes):
                rows.bad.setdefault(row, f"{column} holds {str(value)[:60]}, which is no category")
                word = ""
            elif why := unreadable(word):
                rows.bad.setdefault(row, f"{column} {why}")
                word = ""
            if NUMBER.fullmatch(word):
                word = re.sub(r"(?<=\d)\.0*$", "", word)
            found.append(math.nan if not word else known.setdefault(word, of_word(word)))
        _need_some(rows, "category", column, found)
        read.append(found)
    return torch.tensor(read, dtype=torch.float64).reshape(len(columns), len(rows.table)).T


def _need_some(rows: Rows, key: str, column: str, found: list[float]) -> None:
    if all(math.isnan(value) for value in found) and not rows.bad:
        raise Problem(f"{key}={column}: that column of {rows.table.name} is empty in every row. Leave it out.")
