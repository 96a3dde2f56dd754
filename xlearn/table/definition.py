"""A table of `conf/table`: its sweeps and its layout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xlearn.config.folders import read_yaml
from xlearn.runtime.errors import Problem, nearest
from xlearn.table.bounds import chosen
from xlearn.table.keys import shown


@dataclass(frozen=True)
class Definition:
    """The content of a `table/*.yaml`.

    `sweep`: overrides as after `xlearn train -m`. `sweeps`: several such lists, where rows differ in several overrides at
    once: label -> overrides, or a list of lists (labels 1, 2, ...); the key `sweep` is a run's label. With both, all of
    them begin with `sweep`.
    `rows`, `columns`: keys separated by commas; the columns `tasks`: one per task of a joint run.
    `bounds`: reference rows (alone, majority, scratch, single, ...); None: the default for these columns.
    `reference`: published numbers, row -> column -> {value, protocol}.
    """

    experiment: str
    sweep: list[str] = field(default_factory=list)
    sweeps: dict[str, list[str]] = field(default_factory=dict)
    rows: str = "transfer"
    columns: str = "target.shots"
    metric: str | None = None
    against: str | None = None
    bounds: tuple[str, ...] | None = None
    reference: dict[Any, Any] = field(default_factory=dict)

    def commands(self, extra: Sequence[str]) -> dict[str, list[str]]:
        """The overrides of each sweep by its label (a single sweep has the label ""), `extra` replaces
        overrides of the same key, and the rest of it is appended.
        """
        found = {}
        for label, sweep in (self.sweeps or {"": []}).items():
            merged = {_key(each): each for each in (f"experiment={self.experiment}", *self.sweep, *sweep)}
            found[label] = [*{**merged, **{_key(each): each for each in extra}}.values()]
        return found

    def published(self) -> tuple[dict[str, Any], ...]:
        """`reference` as a list of {row, column, value, protocol}."""
        return tuple(
            {"row": shown(row), "column": shown(column), "value": cell["value"], "protocol": cell["protocol"]}
            for row, columns in self.reference.items()
            for column, cell in columns.items()
        )


def read_definition(file: Path) -> Definition:
    """Read and check a table's file. Raises `Problem` with what is wrong in it."""
    content = read_yaml(file)
    names = [each.name for each in fields(Definition)]
    for name in content:
        if name not in names:
            raise Problem(f"{file}: {name}: there is no such key. {nearest(str(name), names)}")
    if not content.get("experiment"):
        raise Problem(f"{file}: experiment is missing. A table needs an experiment's name and the overrides to sweep.")
    if not content.get("sweep") and not content.get("sweeps"):
        raise Problem(f"{file}: sweep is missing (or sweeps). A table needs the overrides to sweep, such as `- seed=0,1,2`.")
    for name in ("experiment", "rows", "columns", "metric", "against"):
        if content.get(name) is not None and not isinstance(content[name], str):
            raise Problem(f"{file}: {name}={content[name]!r} is no text.")
    given = {name: each for name, each in content.items() if each is not None}
    if "sweep" in given:
        _need_overrides(file, "sweep", given["sweep"])
    if "sweeps" in given:
        given["sweeps"] = _sweeps(file, given["sweeps"])
    if "bounds" in given:
        bounds = given["bounds"]
        if not isinstance(bounds, str | list) or not all(isinstance(each, str) for each in bounds):
            raise Problem(f"{file}: bounds={bounds!r} is no list such as [majority, alone].")
        given["bounds"] = chosen(bounds, f"{file}: bounds:")
    _check_reference(file, given.get("reference", {}))
    return Definition(**given)


def _need_overrides(file: Path, where: str, sweep: Any) -> None:
    if not isinstance(sweep, list) or not sweep or not all(isinstance(each, str) and "=" in each for each in sweep):
        raise Problem(f"{file}: {where}={sweep!r} is no list of overrides such as `- seed=0,1,2`.")


def _sweeps(file: Path, content: Any) -> dict[str, list[str]]:
    if not isinstance(content, list | Mapping):
        raise Problem(f"{file}: sweeps={content!r} is no mapping from labels to lists of overrides.")
    labelled = content if isinstance(content, Mapping) else dict(enumerate(content, start=1))
    for label, sweep in labelled.items():
        _need_overrides(file, f"sweeps.{label}", sweep)
    return {shown(label): sweep for label, sweep in labelled.items()}


def _check_reference(file: Path, reference: Any) -> None:
    if not isinstance(reference, dict):
        raise Problem(f"{file}: reference={reference!r}: give row: {{column: {{value: number, protocol: text}}}}.")
    for row, columns in reference.items():
        for column, cell in columns.items() if isinstance(columns, dict) else [(None, columns)]:
            if not isinstance(cell, dict) or set(cell) != {"value", "protocol"} or not isinstance(cell["value"], int | float):
                where = f"reference.{row}.{column}={cell!r}"
                raise Problem(f"{file}: {where}: give row: {{column: {{value: number, protocol: text}}}}.")


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
