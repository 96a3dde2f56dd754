"""A table as data: written with the values of every seed, and read again, so that it can be shown anew without its runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from xlearn.runtime.errors import Problem
from xlearn.table.cells import Axis, Cell, Replicate, Table
from xlearn.table.judge import judged

# What follows from the values is written for readers of the file, and computed anew when it is read.
DERIVED = ("mean", "half_width", "gain", "gain_half_width", "p", "p_holm", "better", "best")
BY_SEED = ("values", "gains", "before")
FORMAT = 1


def as_json(table: Table) -> str:
    """Everything of the table: rows, columns and cells with their values by seed (`values`, `gains` over the baselines, and the
    baselines' own values `before`), seconds, versions, and the command that made it.
    """
    content = {each.name: getattr(table, each.name) for each in fields(table) if each.name not in ("cells", "axis")}
    cells = [{"row": row, "column": column, **_written(cell)} for (row, column), cell in table.cells.items()]
    axis = None if table.axis is None else asdict(table.axis)
    return json.dumps({"format": FORMAT, **content, "axis": axis, "cells": cells}, indent=1, default=sorted) + "\n"


def read_table(file: Path) -> Table:
    """The table in a file that `as_json` wrote, its tests and marks made anew. Raises `Problem` where it is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise Problem(f"{file} is of another version of xlearn. Make it again with `{content['command']}`.")
        axis, cells = content.pop("axis"), content.pop("cells")
        given = {name: _tuples(value) for name, value in content.items()}
        made = {(cell["row"], cell["column"]): _read(cell) for cell in cells}
        table = Table(**given, axis=None if axis is None else Axis(**axis), cells=made)
        return judged(table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"{file} holds no table of xlearn ({type(error).__name__}: {error}). Name a table.json.") from error


def _written(cell: Cell) -> dict[str, Any]:
    by_seed = {name: [[*replicate, value] for replicate, value in getattr(cell, name).items()] for name in BY_SEED}
    others = {each.name: getattr(cell, each.name) for each in fields(cell) if each.name not in (*BY_SEED, *DERIVED)}
    return {**by_seed, **others, **{name: getattr(cell, name) for name in DERIVED}}


def _read(cell: Mapping[str, Any]) -> Cell:
    by_seed: dict[str, Any] = {name: _by_seed(cell[name]) for name in BY_SEED}
    names = [each.name for each in fields(Cell) if each.name not in (*BY_SEED, *DERIVED, "selection")]
    return Cell(**by_seed, selection=frozenset(cell["selection"]), **{name: cell[name] for name in names})


def _by_seed(found: Iterable[list[Any]]) -> dict[Replicate, float]:
    return {tuple(replicate): value for *replicate, value in found}


def _tuples(value: Any) -> Any:
    """Lists as the tuples that they were."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return value
