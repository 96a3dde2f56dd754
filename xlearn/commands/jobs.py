"""The jobs of a sweep: the words of a command, composed into one configuration for every combination of swept values."""

import pickle
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from xlearn.commands.order import groups as groups_of
from xlearn.commands.order import parts_of
from xlearn.config.compose import choices, complete, composed, with_quotes
from xlearn.config.folders import conf_folder, groups
from xlearn.config.schema import identity, is_identity
from xlearn.config.sentences import sentences
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest


@dataclass(frozen=True)
class Job:
    """One run of a sweep. `overrides`: those that distinguish it, as typed; `folder`: that of its result, absolute.

    The configuration is kept as bytes, a twentieth of its size as Python containers.
    """

    packed: bytes
    folder: Path
    overrides: tuple[str, ...]
    groups: frozenset[str]  # see `xlearn.commands.order`
    parts: frozenset[str]  # see `xlearn.runtime.memory`
    equal: tuple["Job", ...] = ()  # jobs of other options that compose to the same configuration: they are this run

    @property
    def content(self) -> dict[str, Any]:
        """The composed configuration, with its `choices`."""
        return pickle.loads(self.packed)

    @cached_property
    def name(self) -> str:
        """The job in messages."""
        return " ".join(self.overrides) or "the run"

    def every(self) -> "list[Job]":
        """The job and its equals: all names of its run."""
        return [self, *self.equal]


def job_of(content: dict[str, Any], folder: Path, overrides: Iterable[str]) -> Job:
    return Job(pickle.dumps(content), folder.absolute(), (*overrides,), groups_of(content), parts_of(content))


def jobs(overrides: Sequence[str], config_dirs: list[Path]) -> list[Job]:
    """A job for every combination that Hydra's sweeper would run, in its order. Equal runs are one job, with the others in its
    `equal`. Call `register` before.

    Composing takes 1/3 s: each combination of options of groups is composed once, and swept values are set in the result.
    Raises `Problem` if one of them cannot be composed.
    """
    with sentences(config_dirs):
        quoted = with_quotes(overrides, config_dirs)  # before `_parser`, which sets Hydra's search path
        parse = _parser(config_dirs)
        every = BasicSweeper.split_arguments([parse(each) for each in quoted], None)[0]
        parsed = {text: parse(text) for job in every for text in job}
        swept = {text for text in parsed if sum(text in job for job in every) < len(every)}
        _refuse_settings({parsed[text].key_or_group for text in swept})
        # Mappings are merged into what is there, so they are composed, as options are.
        values = {text for text in swept if not _is_group(parsed[text], config_dirs) and not _is_mapping(parsed[text])}
        found: dict[int, Job] = {}
        for fixed, places in _by_options(every, values).items():
            config = composed(fixed, config_dirs)
            for place in places:
                for each in (parsed[text] for text in every[place] if text in values):
                    OmegaConf.update(config, each.key_or_group, each.value(), force_add=each.is_add() or each.is_force_add())
                content = {**complete(config), "choices": choices(config.hydra)}
                folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
                found[place] = job_of(content, folder, (text for text in every[place] if text in swept))
    unique: dict[Path, list[Job]] = {}
    for _, job in sorted(found.items()):
        same = unique.setdefault(job.folder, [job])[0]
        if digest(identity(same.content)) != digest(identity(job.content)):
            raise Problem(
                f"{same.name} and {job.name} have the same folder, {job.folder}. Leave hydra.sweep.dir and hydra.sweep.subdir "
                "out, or use ${digest:} in them."
            )
        if all(job.overrides != each.overrides for each in unique[job.folder]):
            unique[job.folder].append(job)
    if not unique:
        raise Problem(f"The sweep has no run: one of {' '.join(overrides)} has no value.")
    return [replace(job, equal=(*others,)) for job, *others in unique.values()]


def _by_options(every: Sequence[Sequence[str]], values: Set[str]) -> dict[tuple[str, ...], list[int]]:
    """The overrides without `values` -> the positions of the jobs that have these."""
    found: dict[tuple[str, ...], list[int]] = {}
    for place, job in enumerate(every):
        found.setdefault(tuple(text for text in job if text not in values), []).append(place)
    return found


def _parser(config_dirs: list[Path]) -> Any:
    """A function that parses an override; it knows the options of the groups, for `transfer=glob(c*)`."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())

    def parse(override: str) -> Override:
        return parser.parse_overrides([override])[0]

    return parse


def _is_mapping(override: Override) -> bool:
    return isinstance(override.value(), Mapping)


def _is_group(override: Override, config_dirs: list[Path]) -> bool:
    """Whether an override chooses an option of a group, so that the configuration has to be composed for it."""
    key = override.key_or_group
    return override.package is not None or "/" in key or key in {*groups([conf_folder(), *config_dirs]), "source", "target"}


def _refuse_settings(swept: set[str]) -> None:
    """Raise `Problem` for swept keys that change no numbers: their runs would be the same, in the same folder."""
    for key in sorted(swept):
        if key != "experiment" and not is_identity(key):
            more = " For several devices write devices=[...]." if key == "device" else ""
            raise Problem(f"{key} has several values, but is a setting of the whole sweep. Give one value.{more}")
