"""A table as JSON, with the values of every seed: it can be printed again without its runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from xlearn.results.plain import read_json
from xlearn.runtime.errors import Problem
from xlearn.table.cells import Axis, Cell, Replicate, Table
from xlearn.table.crossed import Components, Crossed
from xlearn.table.judge import judged

# Derived values are written for readers of the file, and recomputed when it is read.
DERIVED = ("mean", "half_width", "gain", "gain_half_width", "p", "p_holm", "better", "best")
BY_SEED = ("values", "gains", "before")
CROSSED = ("crossed", "gain_crossed", "difference")
NOT_WRITTEN = ("scores", "before_scores")
LEFT = (*BY_SEED, *DERIVED, *CROSSED, *NOT_WRITTEN)
FORMAT = 1


def as_json(table: Table) -> str:
    """The whole table: rows, columns, cells with their values by seed (`values`, `gains` over the baselines, and `before`, the
    baselines' values), seconds, versions, and the command that made it.
    """
    content = {each.name: getattr(table, each.name) for each in fields(table) if each.name not in ("cells", "axis")}
    cells = [{"row": row, "column": column, **_written(cell)} for (row, column), cell in table.cells.items()]
    axis = None if table.axis is None else asdict(table.axis)
    return json.dumps({"format": FORMAT, **content, "axis": axis, "cells": cells}, indent=1, default=sorted) + "\n"


def read_table(file: Path) -> Table:
    """The table in a file that `as_json` wrote; tests and marks are recomputed. Raises `Problem` for another file."""
    try:
        content = read_json(file)
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
    others = {each.name: getattr(cell, each.name) for each in fields(cell) if each.name not in LEFT}
    designs = {name: _described(made) for name in CROSSED if (made := getattr(cell, name)) is not None}
    return {**by_seed, **others, **{name: getattr(cell, name) for name in DERIVED}, **designs}


def _read(cell: Mapping[str, Any]) -> Cell:
    by_seed: dict[str, Any] = {name: _by_seed(cell[name]) for name in BY_SEED}
    names = [each.name for each in fields(Cell) if each.name not in (*LEFT, "selection")]
    designs: dict[str, Any] = {name: _design(made) for name in CROSSED if (made := cell.get(name)) is not None}
    # Files of earlier versions lack the later fields.
    given = {name: cell[name] for name in names if name in cell}
    return Cell(**by_seed, **designs, selection=frozenset(cell["selection"]), **given)


def _described(design: Crossed) -> dict[str, Any]:
    return {**asdict(design), "half_width": design.half_width, "p": design.p}


def _design(given: Mapping[str, Any]) -> Crossed:
    found = {each.name: given[each.name] for each in fields(Crossed) if each.name != "components"}
    parts: dict[str, Any] | None = given["components"]
    made = None if parts is None else Components(parts["draw"], parts["seed"], parts["rest"], tuple(parts["clipped"]))
    return Crossed(**found, components=made)


def _by_seed(found: Iterable[list[Any]]) -> dict[Replicate, float]:
    return {tuple(replicate): value for *replicate, value in found}


def _tuples(value: Any) -> Any:
    """The value with lists turned back into tuples."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return value
