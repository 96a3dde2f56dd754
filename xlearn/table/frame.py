"""Runs as a pandas DataFrame, one row per run."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from xlearn.config.schema import identity
from xlearn.runtime.errors import Problem
from xlearn.table.collect import Record, collect
from xlearn.table.versions import newest

# The first columns.
FIRST = ("source", "target", "transfer")


def frame(folders: Sequence[Path]) -> pandas.DataFrame:
    """The runs in and below `folders`. Raises `Problem` if there is none."""
    found = collect(folders)
    if not found:
        raise Problem(f"{', '.join(map(str, folders))}: there is no run. Name a folder of runs, e.g. outputs.")
    found, notes = newest(found)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    leaves = [dict(_leaves(identity(record.config))) for record in found]
    keys = dict.fromkeys(key for each in leaves for key in each)
    differing = [key for key in keys if len({repr(each.get(key)) for each in leaves}) > 1]
    rows = [_row(record, {key: each.get(key) for key in differing}) for record, each in zip(found, leaves, strict=True)]
    return pandas.DataFrame(rows)


def _row(record: Record, differing: Mapping[str, Any]) -> dict[str, Any]:
    result = record.result or {}
    groups = sorted(record.choices, key=lambda group: (group not in FIRST, group))
    chosen = {group: record.choices[group] for group in groups}
    row = {
        "folder": str(record.folder),
        "seed": record.config.get("seed"),
        **chosen,
        **differing,
        **_scores("metrics", result.get("metrics")),
    }
    row |= _scores("baseline", (result.get("baseline") or {}).get("metrics")) | _scores("gain", result.get("gain"))
    for name, each in (result.get("bounds") or {}).items():
        row |= _scores(f"bounds.{name}", each.get("metrics"))
    return {
        **row, **_scores("gap_closed", result.get("gap_closed")), "seconds": result.get("seconds"), "failure": record.failure
    }  # fmt: skip


def _scores(name: str, found: Any) -> dict[str, float]:
    """The numbers of a mapping by metric, without other values (a confusion matrix)."""
    return {f"{name}.{key}": value for key, value in (found or {}).items() if isinstance(value, int | float)}


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
