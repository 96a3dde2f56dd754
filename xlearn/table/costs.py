"""The cost columns of a table, shown if the rows differ: parameters, and operations of a prediction."""

from collections.abc import Iterable, Mapping
from typing import Any

from xlearn.commands.units import compact, megaflops
from xlearn.table.cells import SINGLE, Table
from xlearn.table.statistics import mean

NONE = "-"
HEADS = ("parameters", "MFLOPs")


def mean_cost(holders: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean of `cost[name]` (parameters, flops) over the results that have it; None if none has."""
    values = [value for each in holders if (value := (each.get("cost") or {}).get(name)) is not None]
    return mean(values) if values else None


def costs(table: Table) -> dict[str, tuple[str, str]]:
    """Parameters and MFLOPs by row, as text: a range if the columns of a row differ, - without a cost. Empty if all rows with
    a cost have the same.
    """
    parameters = {row: _range([table.cells[row, column].parameters for column in table.columns]) for row in table.rows}
    flops = {row: _range([table.cells[row, column].flops for column in table.columns]) for row in table.rows}
    if all(len({each for each in found.values() if each}) < 2 for found in (parameters, flops)):
        return {}
    return {row: (_text(parameters[row], compact), _text(flops[row], megaflops)) for row in table.rows}


def cost_sentence(table: Table) -> str:
    """The note on the two cost columns."""
    counted = "those used to predict the target"
    if table.tasks:
        counted = "those of the whole joint network" if table.together else counted
        counted += f" (`{SINGLE}`: the sum over the separate networks)" if SINGLE in table.rows else ""
    return (
        f"Parameters: {counted}. MFLOPs: million floating-point operations of a forward pass for one example of the "
        "target. Means over the runs of a row; a range if its columns differ."
    )


def _range(values: Iterable[float | None]) -> tuple[float, float] | None:
    """(least, largest), rounded to 12 digits: rounding errors of a mean make no range."""
    there = [float(f"{each:.12g}") for each in values if each is not None]
    return (min(there), max(there)) if there else None


def _text(found: tuple[float, float] | None, shown: Any) -> str:
    return NONE if found is None else "-".join(dict.fromkeys(shown(each) for each in found))
