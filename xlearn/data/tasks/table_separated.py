"""Texts whose values stand in lines with a separator (CSV, TSV) to columns: which separator it is, and what quotes mean."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlearn.runtime.errors import Problem

Columns = dict[str, list[Any]]
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
FOUND = ",;\t|"  # those that are looked for
# Lines within a quoted value, and the share of them that are separated like rows, from which on a quote was left open.
LINES, SHARE = 3, 0.8


@dataclass(frozen=True)
class Dialect:
    """How a text file is written; None: found. `separator`: a character, or its name in `SEPARATORS`. `quotes`: whether a value
    between quotation marks may hold separators and line ends.
    """

    separator: str | None = None
    encoding: str | None = None
    quotes: bool | None = None

    @property
    def character(self) -> str | None:
        """The separator as a character. Raises `Problem` for one of another length, and for letters, digits and quotes."""
        if self.separator is None:
            return None
        given = SEPARATORS.get(self.separator.lower(), self.separator.replace("\\t", "\t"))
        if len(given) != 1 or given.isalnum() or given in "\"'\r\n":
            raise Problem(f"separator={self.separator}: give one mark, or {', '.join(SEPARATORS)}; null finds it.")
        return given


def named(separator: str) -> str:
    return next((name for name, each in SEPARATORS.items() if each == separator), repr(separator))


def separated(file: Path, text: str, usual: str, dialect: Dialect) -> tuple[Columns, str]:
    """(the columns, all values as unconverted strings; the separator). `usual`: that of the file's ending."""
    csv.field_size_limit(2**31 - 1)  # the default stops at texts of 131,072 characters
    text, told = _without_hint(text)
    separator = dialect.character or told or _found(file, text, usual, dialect.quotes)
    quotes = _quoted(text, separator) if dialect.quotes is None else dialect.quotes
    names: list[str] = []
    rows: list[list[str]] = []
    for first, last, row in _records(file, text, separator, quotes):
        if last - first > LINES and dialect.quotes is None:
            _need_closed(file, first, last, row, separator, len(names))
        if not names:
            names = [name.strip() for name in row]
        elif len(row) != len(names):
            mark, have = named(separator), "1 column" if len(names) == 1 else f"{len(names)} columns"
            raise Problem(
                f"file={file}: line {last} has {len(row)} values, and there are {have} (separator={mark}). Quote values that "
                f"hold a {mark}, or set separator."
            )
        else:
            rows.append(row)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    # A separator at the end of each line makes a column without name and values.
    kept = [place for place, name in enumerate(names) if name or any(columns[place])]
    names, columns = [names[place] for place in kept], [columns[place] for place in kept]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(f"file={file}: two columns are called {twice!r}. Rename one.")
    return {name: list(values) for name, values in zip(names, columns, strict=True)} if rows else {}, separator


def _without_hint(text: str) -> tuple[str, str | None]:
    """Excel writes `sep=;` as a first line, which is no row."""
    first, _, rest = text.partition("\n")
    hint = first.strip().lower()
    return (rest, first.strip()[4]) if len(hint) == 5 and hint.startswith("sep=") else (text, None)


def _found(file: Path, text: str, usual: str, quotes: bool | None) -> str:
    """The separator in the line of names by which all lines have the same number of columns, 2 or more.

    Where there is none the usual one, if it is there, or the most frequent one: the line that differs is reported by it. Raises
    `Problem` where several fit.
    """
    head = next((line for line in io.StringIO(text) if line.strip()), "")
    candidates = sorted((each for each in FOUND if each in head), key=lambda each: (each != usual, -head.count(each)))
    if not candidates or candidates == [usual]:
        return usual
    fitting = {each: count for each in candidates if (count := _columns(file, text, each, quotes)) > 1}
    if len(fitting) > 1:
        told = " and ".join(f"{named(each)} ({count})" for each, count in fitting.items())
        raise Problem(f"file={file}: {told} columns in every line: both could separate them. Set separator to one of these.")
    if fitting:
        return next(iter(fitting))
    return candidates[0]


def _columns(file: Path, text: str, separator: str, quotes: bool | None) -> int:
    """The number of columns in all lines; 0 where lines differ or cannot be read."""
    count = 0
    try:
        for _, _, row in _records(file, text, separator, _quoted(text, separator) if quotes is None else quotes):
            if count and len(row) != count:
                return 0
            count = len(row)
    except Problem:
        return 0
    return count


def _quoted(text: str, separator: str) -> bool:
    """Whether quotation marks enclose values. Between tabs they mostly stand for themselves, because texts hold no tab: they
    enclose values there if each value that begins with one ends with one too, or if all lines have as many values only then.
    """
    if separator != "\t" or '"' not in text:
        return True
    equal, closed, count = True, True, 0
    for _, _, row in _records(Path(), text, separator, False):
        equal &= count in (0, len(row))
        count = len(row)
        closed &= all(_enclosed(each) for each in row if each.startswith('"'))
    return closed if equal else _columns(Path(), text, separator, True) > 0


def _enclosed(value: str) -> bool:
    """Whether a value stands between quotation marks, those within it doubled."""
    return len(value) > 1 and value.endswith('"') and '"' not in value[1:-1].replace('""', "")


def _records(file: Path, text: str, separator: str, quotes: bool) -> Iterator[tuple[int, int, list[str]]]:
    """(its first line, its last line, its values) of each record; blank lines are left out."""
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    first = 1
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield first, reader.line_num, row
            first = reader.line_num + 1
    except csv.Error as error:
        begins = f" (the record begins in line {first})" if reader.line_num > first else ""
        raise Problem(
            f"file={file}: line {reader.line_num} cannot be read ({error}){begins}. Fix its quotes, or set quotes=false if "
            "quotation marks enclose no values."
        ) from error


def _need_closed(file: Path, first: int, last: int, row: list[str], separator: str, columns: int) -> None:
    """Raise `Problem` for a quoted value that holds lines separated like rows: its quotation mark was never closed."""
    for value in row:
        inner = [line for line in value.split("\n")[1:-1] if line.strip()]
        alike = sum(line.count(separator) == columns - 1 for line in inner)
        if columns > 1 and len(inner) >= LINES and alike >= SHARE * len(inner):
            raise Problem(
                f"file={file}: the value {value[:40]!r} begins with a quotation mark in line {first} and ends in line {last}, "
                f"and {alike} lines within it look like rows. Close it in line {first}, or set quotes=false if quotation marks "
                "enclose no values, or quotes=true if the value is right."
            )
