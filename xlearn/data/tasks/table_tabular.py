"""Columns of numbers, truth values, dates and categories as one table."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from xlearn.data.tasks.table_columns import Rows
from xlearn.data.tasks.table_dates import dates
from xlearn.data.tasks.table_numbers import booleans, categories, decimal_mark, numbers


class Kinds(NamedTuple):
    """Names of columns by what they hold."""

    numeric: list[str]
    boolean: list[str]
    date: list[str]
    category: list[str]


def tabular(
    rows: Rows, kinds: Kinds, decimal: str | None, date_format: str | None
) -> tuple[Tensor, Tensor, tuple[str, ...], dict[str, Any]]:
    """(float64 `[n, columns]` with NaN for missing values, bool `[n]` which rows have any value, the names of the columns,
    notes). Dates are their parts; categories are the last columns.
    """
    mark = decimal or decimal_mark(rows, kinds.numeric)
    notes: dict[str, Any] = {"decimal": "comma"} if mark == "," and decimal is None else {}
    parts, names, formats = dates(rows, kinds.date, date_format)
    notes |= {"date_formats": formats} if formats else {}
    found = torch.cat(
        [numbers(rows, kinds.numeric, mark), booleans(rows, kinds.boolean), parts, categories(rows, kinds.category)], dim=1
    )
    return found, ~found.isnan().all(1), (*kinds.numeric, *kinds.boolean, *names, *kinds.category), notes
