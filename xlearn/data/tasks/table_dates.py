"""Columns of dates as columns of numbers: the parts of a date that repeat, and its place in time."""

import re
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from xlearn.data.tasks.table_columns import Rows, missing
from xlearn.data.tasks.table_numbers import NO_NUMBER
from xlearn.runtime.errors import Problem

ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}([.,]\d{1,9})?)?)?)? ?(Z|[+-]\d{2}:?(\d{2})?)?")
# Day, month and year in either order, and a time.
NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})( \d{1,2}:\d{2}(:\d{2})?)?")
DAY = 86400


def dates(rows: Rows, columns: Sequence[str], date_format: str | None) -> tuple[Tensor, list[str], dict[str, str]]:
    """(float64 `[n, parts]` with NaN for missing dates, the names of the parts, the formats that were found).

    The parts of column `when`: `when.year`, `when.month_sin`, `when.month_cos`, `when.day` (of the month), `when.weekday_sin`,
    `when.weekday_cos`, the sine and cosine of the hour where a date of the column has a time, and `when.days` since 1970. Times
    with a zone are those of UTC. A value that is no date makes its row bad.
    """
    parts: list[numpy.ndarray] = []
    names: list[str] = []
    notes = {}
    for column in columns:
        seconds, form = _seconds(rows, column, date_format)
        for name, values in _parts(seconds).items():
            names.append(f"{column}.{name}")
            parts.append(values)
        if form:
            notes[column] = form
    columns_of = numpy.stack(parts) if parts else numpy.empty((0, len(rows.table)))
    return torch.from_numpy(columns_of).T.contiguous(), names, notes


def _seconds(rows: Rows, column: str, date_format: str | None) -> tuple[numpy.ndarray, str | None]:
    """(float64 `[n]` seconds since 1970 in UTC, NaN without a date; the format where it was found and is not ISO 8601)."""
    import pandas

    values = [None if _missing(value) else value for value in rows.table.column(column)]
    if all(value is None for value in values):
        raise Problem(f"date={column}: that column of {rows.table.name} holds no date. Leave it out.")
    # Dates of Parquet and of JSON are written as ISO 8601.
    words = [None if value is None else value.strip() if isinstance(value, str) else _iso(value) for value in values]
    written = [word for value, word in zip(values, words, strict=True) if isinstance(value, str) and word]
    form = date_format if written else None
    found = None
    if form is None and written and not all(ISO.fullmatch(word) for word in written):
        found = form = _form(rows, column, words)
    if form is None:
        words = [word if word and ISO.fullmatch(word) else None for word in words]
    try:
        read = pandas.to_datetime(pandas.Series(words, dtype=object), format=form or "ISO8601", errors="coerce", utc=True)
    except ValueError as error:
        raise Problem(
            f"date_format={date_format}: no format of dates ({error}). Give one as in date_format='%d.%m.%Y'."
        ) from error
    for row in numpy.flatnonzero(read.isna().to_numpy()).tolist():
        if values[row] is not None:
            expected = f"as {form}" if form else "as 2024-03-31 (ISO 8601); set date_format for another form"
            rows.bad.setdefault(row, f"{column} holds {repr(values[row])[:60]}, which is no date {expected}")
    microseconds = read.dt.as_unit("us").astype("int64").to_numpy() if read.notna().any() else numpy.zeros(len(read))
    return numpy.where(read.isna().to_numpy(), numpy.nan, microseconds / 1e6), found


def _missing(value: Any) -> bool:
    return missing(value) or (isinstance(value, str) and value.strip().lower() in NO_NUMBER)


def _iso(value: Any) -> str | None:
    return value.isoformat() if hasattr(value, "isoformat") else None


def _form(rows: Rows, column: str, words: list[str | None]) -> str | None:
    """The format of dates such as 31.03.2024; None if they are of another form. Raises `Problem` where day and month could be
    exchanged in all of them, or are exchanged in some.
    """
    found = [(row, NUMBERS.fullmatch(word)) for row, word in enumerate(words) if word]
    matching = [(row, match) for row, match in found if match]
    if 2 * len(matching) <= len(found):
        return None
    first = next((row for row, match in matching if int(match[1]) > 12), None)
    second = next((row for row, match in matching if int(match[3]) > 12), None)
    example = matching[0][1]
    mark, year = example[2], "%Y" if len(example[4]) == 4 else "%y"
    time = "" if not example[5] else " %H:%M:%S" if example[6] else " %H:%M"
    forms = f"%d{mark}%m{mark}{year}{time}", f"%m{mark}%d{mark}{year}{time}"
    if (first is None) == (second is None):
        why = "day and month could be exchanged in all of them" if first is None else (
            f"{rows.table.place(first)} has the day first, {rows.table.place(second or 0)} the month"
        )  # fmt: skip
        raise Problem(
            f"date={column}: dates such as {example[0]}, and {why}. Set date_format='{forms[0]}' or date_format='{forms[1]}'."
        )
    return forms[0] if first is not None else forms[1]


def _parts(seconds: numpy.ndarray) -> dict[str, numpy.ndarray]:
    known = ~numpy.isnan(seconds)
    moment = numpy.where(known, seconds, 0).astype("datetime64[s]")
    day, month = moment.astype("datetime64[D]"), moment.astype("datetime64[M]")
    months = month.astype(numpy.int64)
    parts = {
        "year": months // 12 + 1970,
        **_circle("month", months % 12, 12),
        "day": (day - month.astype("datetime64[D]")).astype(numpy.int64) + 1,
        # The first of January 1970 was a Thursday; Monday is 0.
        **_circle("weekday", (day.astype(numpy.int64) + 3) % 7, 7),
    }
    of_day = numpy.where(known, seconds % DAY, 0)
    if of_day.any():
        parts |= _circle("hour", of_day, DAY)
    parts["days"] = seconds / DAY
    return {name: numpy.where(known, values, numpy.nan) for name, values in parts.items()}


def _circle(name: str, values: numpy.ndarray, period: int) -> dict[str, numpy.ndarray]:
    angle = 2 * numpy.pi * values / period
    return {f"{name}_sin": numpy.sin(angle), f"{name}_cos": numpy.cos(angle)}
