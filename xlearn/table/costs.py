"""What the networks of a table's rows cost, where it differs: parameters, and operations of a prediction."""

from collections.abc import Iterable, Mapping
from typing import Any

from xlearn.commands.units import compact, megaflops
from xlearn.table.cells import SINGLE, Table
from xlearn.table.statistics import mean

NONE = "-"
HEADS = ("parameters", "MFLOPs")


def mean_cost(holders: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean over those that have a `cost` of this name (parameters, flops); None where none has."""
    values = [value for each in holders if (value := (each.get("cost") or {}).get(name)) is not None]
    return mean(values) if values else None


def costs(table: Table) -> dict[str, tuple[str, str]]:
    """Parameters and millions of operations by row, as text: a range where the columns of a row differ, - where there is no
    cost. Nothing at all where all rows that have a cost have the same.
    """
    parameters = {row: _range([table.cells[row, column].parameters for column in table.columns]) for row in table.rows}
    flops = {row: _range([table.cells[row, column].flops for column in table.columns]) for row in table.rows}
    if all(len({each for each in found.values() if each}) < 2 for found in (parameters, flops)):
        return {}
    return {row: (_text(parameters[row], compact), _text(flops[row], megaflops)) for row in table.rows}


def cost_sentence(table: Table) -> str:
    """What the two columns count, by what the runs have counted."""
    counted = "those that a prediction for the target reads"
    if table.tasks:
        counted = "those that all tasks together need" if table.together else counted
        counted += f" (`{SINGLE}`: the sum over the tasks, which have a network each)" if SINGLE in table.rows else ""
    return (
        f"Parameters: {counted}. MFLOPs: millions of floating-point operations of a prediction for one example of the target "
        "(forward pass). Means over the runs of a row; a range where its columns differ."
    )


def _range(values: Iterable[float | None]) -> tuple[float, float] | None:
    """The least and the most, without what is only rounding of a mean."""
    there = [float(f"{each:.12g}") for each in values if each is not None]
    return (min(there), max(there)) if there else None


def _text(found: tuple[float, float] | None, shown: Any) -> str:
    return NONE if found is None else "-".join(dict.fromkeys(shown(each) for each in found))
