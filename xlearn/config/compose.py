"""Composition by Hydra: the schema and the tasks in its store, and the digest of a run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from xlearn.config.arguments import searchpath, split
from xlearn.config.folders import conf_folder, groups, options, read_text, read_yaml
from xlearn.config.quoting import need_parsed
from xlearn.config.schema import LABEL_SPACE, LISTS, SAME, TrainConfig, identity, own_choices
from xlearn.config.sentences import sentences
from xlearn.config.texts import quoted, texts_of_file
from xlearn.data.options import TaskOptions
from xlearn.runtime.errors import Problem, Problems
from xlearn.runtime.hashing import digest

# Names that no task may have: `source=none` means no source, the others are roles of batches.
RESERVED = ("none", "target", "unlabeled")
# The name in Hydra's store of the options that every task has.
TASK_OPTIONS = "task_options"


def register(config_dirs: list[Path]) -> None:
    """Store the schema, and every `task/*.yaml` twice: as an option of `target` and as one of `source`.

    In plain Hydra `source=mnist5k` would replace the node by a string. As options under the package `source.<name>`
    one or several can be chosen: `source=mnist5k`, `source=[mnist5k,fashion_mnist]`, `source=none`.

    A target brings the options of every task, then the defaults of its label space (`label_space/NAME.yaml`), then what its own
    file sets. Raises `Problems` for every task file that cannot be read or has a name that cannot be chosen, and for every
    option that another file of the same name hides.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    store.store(group="source", name="none", node={}, package="source")
    store.store(name=TASK_OPTIONS, node=asdict(TaskOptions()), package="target")
    problems = _hidden([conf_folder(), *config_dirs])
    for name, file in options("task", [conf_folder(), *config_dirs]).items():
        if name in RESERVED or "." in name:
            why = "a dot separates keys" if "." in name else f"{name!r} is reserved"
            fixed = name.replace(".", "_") if "." in name else f"my_{name}"
            problems.append(f"{file}: no task can be called {name!r}, because {why}. Rename the file, e.g. to {fixed}.yaml.")
            continue
        try:
            node = texts_of_file(read_yaml(file), read_text(file))
            kind = _label_space(node, file)
        except Problem as problem:
            problems.append(str(problem))
            continue
        store.store(group="source", name=name, node={**asdict(TaskOptions()), **node}, package=f"source.{name}")
        defaults = [f"/{TASK_OPTIONS}", {f"/{LABEL_SPACE}": kind}, "_self_"]
        store.store(group="target", name=name, node={"defaults": defaults, **node}, package="target")
    # Encoders are options of `teacher` too, for teachers whose encoders differ from the target's.
    for group in groups([conf_folder(), *config_dirs]):
        if group.startswith("encoder/"):
            modality = group.removeprefix("encoder/")
            store.store(group=f"teacher/{modality}", name=SAME, node={}, package="teacher")
            for name, file in options(group, [conf_folder(), *config_dirs]).items():
                try:
                    store.store(group=f"teacher/{modality}", name=name, node=read_yaml(file), package=f"teacher.{modality}")
                except Problem as problem:
                    problems.append(str(problem))
    if problems:
        raise Problems(problems)
    OmegaConf.register_new_resolver("first", _first, replace=True)
    OmegaConf.register_new_resolver("digest", lambda _root_: digest(identity(_root_, plain)), replace=True)


def _first(*given: Any) -> Any:
    """The first value that is not null."""
    return next((each for each in given if each is not None), None)


def _label_space(node: dict[str, Any], file: Path) -> str:
    """Takes the name of the label space out of a task's file: it is no argument of the loader."""
    kind = node.pop(LABEL_SPACE, "classes")
    if not isinstance(kind, str):
        raise Problem(f"{file}: {LABEL_SPACE}: {kind!r} is no name of a label space, such as classes.")
    return kind


def _hidden(folders: list[Path]) -> list[str]:
    """A sentence for every option that another file of its name hides from Hydra, which does not read tasks and tables."""
    problems = []
    for group in groups(folders[1:]):
        given: dict[str, Path] = {}
        for folder in folders if group not in ("task", "table") else []:
            for name, file in options(group, [folder]).items():
                if (first := given.setdefault(name, file)).resolve() != file.resolve():
                    problems.append(f"{file}: {group}={name} is there already, in {first}. Give the file another name.")
    return problems


def composed(overrides: Sequence[str], config_dirs: list[Path]) -> DictConfig:
    """The configuration that `xlearn train` would compose, with Hydra's own part. Call `register` before.

    Raises `Problem` if it cannot be composed, or a group lacks its one option (see `check_choices`).
    """
    return _composed(with_quotes(overrides, config_dirs), config_dirs)


def with_quotes(words: Sequence[str], config_dirs: list[Path]) -> list[str]:
    """The words of a command, with quotes around values that are texts by their keys (see `quoted`). Call `register` before.

    Raises `Problems` for overrides that Hydra cannot parse.
    """
    need_parsed(split(words)[1])
    return quoted(words, config_dirs, lambda overrides: _composed(overrides, config_dirs))


def _composed(overrides: Sequence[str], config_dirs: list[Path]) -> DictConfig:
    GlobalHydra.instance().clear()
    search = [searchpath(config_dirs)] if config_dirs else []
    with sentences(config_dirs), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", overrides=[*overrides, *search], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    check_choices(choices(config.hydra))
    return config


def plain(node: Any, complete: bool = False) -> Any:
    """Python containers for a node of the configuration; `complete`: a missing value (`???`) is an error."""
    if not OmegaConf.is_config(node):
        return node
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=complete)


def complete(config: DictConfig) -> dict[str, Any]:
    """The whole configuration as Python containers, without nodes of Hydra's."""
    return {str(name): plain(config[name], complete=True) for name in config if name != "hydra"}


def choices(hydra_config: Any) -> dict[str, str]:
    """The chosen option of each of xlearn's groups, from Hydra's part of a configuration. Lists of options are left out."""
    return own_choices(hydra_config.runtime.choices)


def check_choices(chosen: Mapping[str, str]) -> None:
    """Raise `Problems` for every group in which not exactly one option is chosen.

    Hydra would merge the options of a list into one node, where the last wins silently. Only the groups in `LISTS`
    (`source`, `augment`, `robustness`, `comparison`) accept several.
    """
    lacking = [group for group in _single() if group not in chosen]
    if lacking:
        raise Problems(
            [f"{group}: choose one option, as in {group}={_single()[group]}; no list, and not ~{group}." for group in lacking]
        )


@cache
def _single() -> dict[str, str]:
    """The groups of which a run needs one option, with its default."""
    defaults = read_yaml(conf_folder() / "train.yaml")["defaults"]
    pairs = [pair for each in defaults if isinstance(each, dict) for pair in each.items()]
    return {group: option for group, option in pairs if group not in LISTS and not group.startswith("override ")}


def waiting(words: Sequence[str]) -> list[str]:
    """The words of a command, with values below a swept group turned into sweeps: after `-m transfer=l2_sp,delta` the word
    `transfer.steps=5` becomes `transfer.steps=choice(5)`.

    To read its own settings Hydra first composes a sweep without the swept words. The default option of the group may lack
    the key.
    """
    if not {"-m", "--multirun"} & set(words):
        return [*words]
    parser, swept, keys = OverridesParser.create(), [], {}
    for word in words:
        with suppress(HydraException):  # a flag; or an error, which Hydra reports
            each = parser.parse_override(word)
            if not each.is_sweep_override() and not each.is_delete():
                keys[word] = each.package or each.key_or_group  # a preset's package is its phase
            elif "." not in each.key_or_group:
                swept.append(f"{each.key_or_group.replace('/', '.')}.")

    def choice(word: str) -> str:
        key, _, value = word.partition("=")
        return f"{key}=choice({value})" if value and keys.get(word, "").startswith((*swept,)) else word

    return [choice(word) for word in words]
