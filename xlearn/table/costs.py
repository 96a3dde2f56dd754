"""The cost columns of a table, shown if the rows differ: parameters, operations of a prediction, and steps of training."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xlearn.commands.units import compact, megaflops
from xlearn.table.cells import SINGLE, Table
from xlearn.table.statistics import mean

NONE = "-"
STEPS, BASELINE_STEPS = "steps", "baseline steps"
FIELDS = {"parameters": "parameters", "MFLOPs": "flops", STEPS: "steps", BASELINE_STEPS: "baseline_steps"}
FORMS: dict[str, Callable[[float], str]] = {
    "parameters": compact, "MFLOPs": megaflops, STEPS: "{:,.0f}".format, BASELINE_STEPS: "{:,.0f}".format,
}  # fmt: skip
# Columns that are shown together.
TOGETHER = (("parameters", "MFLOPs"), (STEPS, BASELINE_STEPS))


def mean_cost(holders: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean of `cost[name]` (parameters, flops) over the results that have it; None if none has."""
    values = [value for each in holders if (value := (each.get("cost") or {}).get(name)) is not None]
    return mean(values) if values else None


def mean_steps(holders: Iterable[Mapping[str, Any]]) -> float | None:
    """The mean of `steps` over the results that have it; None if none has."""
    values = [value for each in holders if (value := each.get("steps")) is not None]
    return mean(values) if values else None


def not_learned(holders: Iterable[Mapping[str, Any]]) -> int:
    """The number of networks that have not learned; results that do not say it count as learned."""
    return sum(not each.get("learned", True) for each in holders)


def costs(table: Table) -> dict[str, dict[str, str]]:
    """The cost columns by name, each with its text by row: a range if the columns of a row differ, - without a number. Empty if
    all rows with a number have the same.

    `parameters` and `MFLOPs` are shown together. `steps` of the networks, and `baseline steps`, are shown if one of them
    differs, or if they differ from each other.
    """
    numbers = {
        name: {row: _range([getattr(table.cells[row, column], field) for column in table.columns]) for row in table.rows}
        for name, field in FIELDS.items()
    }
    shown = {}
    for names in TOGETHER:
        compared = [{each for each in numbers[name].values() if each} for name in names]
        # Steps are also compared with those of the baselines.
        several = any(len(each) > 1 for each in compared) or (STEPS in names and len(set.union(*compared)) > 1)
        shown |= {name: numbers[name] for name in names if several and any(compared)}
    return {name: {row: _text(each, FORMS[name]) for row, each in found.items()} for name, found in shown.items()}


def cost_sentence(table: Table) -> str:
    """The note on the two cost columns."""
    counted = "those used to predict the target"
    if table.tasks:
        counted = "those of the whole joint network" if table.together else counted
        counted += f" (`{SINGLE}`: the sum over the separate networks)" if SINGLE in table.rows else ""
    shown, told = costs(table), []
    if "parameters" in shown:
        told.append(
            f"Parameters: {counted}. MFLOPs: million floating-point operations of a forward pass for one example of the target."
        )
    if STEPS in shown:
        told.append(
            "Steps: optimizer steps of the phases that read the target's labels, without pretraining; baseline steps: "
            "those of each run's own baseline. A comparison of unequal steps is one of budgets too."
        )
    return f"{' '.join(told)} Means over the runs of a row; a range if its columns differ."


def _range(values: Iterable[float | None]) -> tuple[float, float] | None:
    """(least, largest), rounded to 12 digits: rounding errors of a mean make no range."""
    there = [float(f"{each:.12g}") for each in values if each is not None]
    return (min(there), max(there)) if there else None


def _text(found: tuple[float, float] | None, shown: Any) -> str:
    return NONE if found is None else "-".join(dict.fromkeys(shown(each) for each in found))
