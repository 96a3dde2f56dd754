"""The runs that belong to a table of `conf/table`: those of its sweeps, found by their configuration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlearn.config.folders import conf_folder, groups
from xlearn.table.collect import Record, collect
from xlearn.table.definition import Definition
from xlearn.table.versions import key


def runs(definition: Definition, extra: Sequence[str], config_dirs: list[Path]) -> tuple[list[Record], Path, list[Record]]:
    """(every run of the sweep in its order, the folder of the results, the other runs in that folder).

    A run is recognised by its configuration, in whatever subfolder; runs that are not found are missing.
    """
    jobs: list[Record] = []
    folder = Path()  # the same for all sweeps: they are of one experiment
    for label, overrides in definition.commands(extra).items():
        made, folder = _jobs(overrides, config_dirs)
        jobs += [replace(job, sweep=label or None) for job in made]
    there: dict[str, list[Record]] = {}
    for record in collect([folder]) if folder.is_dir() else []:
        there.setdefault(key(record), []).append(record)
    # A run of several sweeps gives a record for each.
    keys = [key(job) for job in jobs]
    found = [replace(each, sweep=job.sweep) for job, same in zip(jobs, keys, strict=True) for each in there.get(same, [job])]
    return found, folder, [record for same, each in there.items() if same not in set(keys) for record in each]


def _jobs(overrides: list[str], config_dirs: list[Path]) -> tuple[list[Record], Path]:
    """A record without result for every job that Hydra's sweeper would start, and the folder of the sweep."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from xlearn.config.compose import choices, composed, plain, register
    from xlearn.config.sentences import sentences

    register(config_dirs)
    all_groups = {*groups([conf_folder(), *config_dirs]), "source", "target"}
    parser = OverridesParser.create()
    jobs, made = [], {}
    with sentences(config_dirs):
        parsed = parser.parse_overrides(overrides)
        # Composing takes 1/6 s: each combination of groups is composed once, and swept values are set in the result.
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
