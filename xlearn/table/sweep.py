"""The runs that belong to a table of `conf/table`: those of its sweeps, found by their configuration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlearn.table.collect import Record, collect
from xlearn.table.definition import Definition
from xlearn.table.names import renamed
from xlearn.table.versions import key


def runs(definition: Definition, extra: Sequence[str], config_dirs: list[Path]) -> tuple[list[Record], Path, list[Record]]:
    """(every run of the sweep in its order, the folder of the results, the other runs in that folder).

    A run is recognised by its configuration, in whatever subfolder; runs that are not found are missing.
    """
    from xlearn.commands.jobs import jobs
    from xlearn.config.compose import register

    register(config_dirs)
    made = [
        (label or None, job) for label, overrides in definition.commands(extra).items() for job in jobs(overrides, config_dirs)
    ]
    records = []
    for label, job in made:
        for each in job.every():
            content = each.content
            choices = content.pop("choices")
            records.append(Record(_shown(job.folder.parent), content, choices, sweep=label))
    folder = records[0].folder  # the same for all sweeps: they are of one experiment
    there: dict[str, list[Record]] = {}
    for record in collect([folder]) if folder.is_dir() else []:
        there.setdefault(key(record), []).append(record)
    # A run of several sweeps gives a record for each.
    keys = [key(each) for each in records]
    found = [
        replace(renamed(each, record.choices), sweep=record.sweep)
        for record, same in zip(records, keys, strict=True)
        for each in there.get(same, [record])
    ]
    return found, folder, [record for same, each in there.items() if same not in set(keys) for record in each]


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
