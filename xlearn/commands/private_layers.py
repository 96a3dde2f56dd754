"""The summary's lines about low-rank parts and adapters: the layers that have them, and those without."""

import re
from collections.abc import Iterable
from typing import Any

# The number of listed groups of layers; all are in `result.json`.
MOST = 6


def private_layers(result: dict[str, Any]) -> list[str]:
    """A line for the layers that have parts, and one for those without, by reason."""
    lines = []
    for each in result.get("private_layers", []):
        lines.append(f"{each['name']} at {len(each['layers'])} layers: {_listed(each['layers'])}")
        if each["without"]:
            listed = "; ".join(f"{reason}: {_listed(paths)}" for reason, paths in each["without"].items())
            lines.append(f"no {each['name']} at {listed}")
    return lines


def _listed(paths: Iterable[str]) -> str:
    """The paths; those that differ only in numbers are one: `blocks.0.out` and `blocks.1.out` are `blocks.*.out (2)`."""
    grouped: dict[str, list[str]] = {}
    for path in paths:
        grouped.setdefault(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path), []).append(path)
    named = [pattern if len(each) > 1 else each[0] for pattern, each in grouped.items()]
    counts = [f" ({len(each)})" if len(each) > 1 else "" for each in grouped.values()]
    shown = [f"{name}{count}" for name, count in zip(named, counts, strict=True)]
    return ", ".join(shown[:MOST]) + (f" and {len(shown) - MOST} more" if len(shown) > MOST else "")
