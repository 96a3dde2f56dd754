"""A table of `conf/table`: the sweep it is made of, how it is shown, and which runs belong to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xlearn.config.folders import conf_folder, groups, read_yaml
from xlearn.config.schema import NOT_IDENTITY
from xlearn.errors import Problem, nearest
from xlearn.hashing import digest
from xlearn.table.collect import Record, collect
from xlearn.table.keys import shown


@dataclass(frozen=True)
class Definition:
    """The content of a `table/*.yaml`.

    `sweep`: overrides as after `xlearn train -m`. `rows`, `columns`: keys separated by commas. `reference`: published
    numbers, row -> column -> {value, protocol}.
    """

    experiment: str
    sweep: list[str]
    rows: str = "transfer"
    columns: str = "target.shots"
    metric: str | None = None
    against: str | None = None
    reference: dict[Any, Any] = field(default_factory=dict)

    def overrides(self, extra: Sequence[str]) -> list[str]:
        """The sweep with `extra` in the place of overrides of the same key, the others behind."""
        merged = {_key(each): each for each in (f"experiment={self.experiment}", *self.sweep)}
        return [*{**merged, **{_key(each): each for each in extra}}.values()]

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
    for name in ("experiment", "sweep"):
        if not content.get(name):
            raise Problem(f"{file}: {name} is missing. A table needs an experiment's name and the overrides to sweep.")
    sweep = content["sweep"]
    if not isinstance(sweep, list) or not all(isinstance(each, str) and "=" in each for each in sweep):
        raise Problem(f"{file}: sweep={sweep!r} is no list of overrides such as `- seed=0,1,2`.")
    reference = content.get("reference") or {}
    for row, columns in reference.items():
        for column, cell in columns.items() if isinstance(columns, dict) else [(None, columns)]:
            if not isinstance(cell, dict) or set(cell) != {"value", "protocol"} or not isinstance(cell["value"], int | float):
                where = f"reference.{row}.{column}={cell!r}"
                raise Problem(f"{file}: {where}: give row: {{column: {{value: number, protocol: text}}}}.")
    values: Any = {**content, "reference": reference}
    return Definition(**values)


def runs(definition: Definition, extra: Sequence[str], config_dirs: list[Path]) -> tuple[list[Record], Path, list[Record]]:
    """(every run of the sweep in its order, the folder of the results, the other runs that lie there).

    A run that is there is recognised by its configuration, wherever it lies; the others are missing.
    """
    jobs, folder = _jobs(definition.overrides(extra), config_dirs)
    there: dict[str, list[Record]] = {}
    for record in collect([folder]) if folder.is_dir() else []:
        there.setdefault(_identity(record), []).append(record)
    found = [record for job in jobs for record in there.pop(_identity(job), [job])]
    return found, folder, [record for each in there.values() for record in each]


def _jobs(overrides: list[str], config_dirs: list[Path]) -> tuple[list[Record], Path]:
    """A record without result for every job that Hydra's sweeper would start, and the folder of the sweep."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from xlearn.config.compose import choices, composed, plain, register, sentences

    register(config_dirs)
    all_groups = {*groups([conf_folder(), *config_dirs]), "source", "target"}
    parser = OverridesParser.create()
    jobs, made = [], {}
    with sentences(config_dirs):
        parsed = parser.parse_overrides(overrides)
        # Composing takes a sixth of a second: once for every combination of groups, and values are set in the outcome.
        swept = {each.key_or_group for each in parsed if each.is_sweep_override() and each.key_or_group not in all_groups}
        for job in BasicSweeper.split_arguments(parsed, None)[0]:
            values = [each for each in parser.parse_overrides(job) if each.key_or_group in swept]
            fixed = tuple(text for text in job if parser.parse_override(text).key_or_group not in swept)
            if fixed not in made:
                made[fixed] = composed(fixed, config_dirs)
            config = made[fixed]
            for each in values:
                OmegaConf.update(config, each.key_or_group, each.value(), force_add=each.is_add())
            content = {str(name): plain(config[name]) for name in config if name != "hydra"}
            jobs.append(Record(Path(config.hydra.sweep.dir), content, choices(config.hydra)))
    return jobs, jobs[0].folder


def _identity(record: Record) -> str:
    return digest({name: each for name, each in record.config.items() if name not in NOT_IDENTITY})


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
