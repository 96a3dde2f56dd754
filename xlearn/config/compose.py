"""Composition by Hydra: the schema and the tasks in its store, the digest of a run, and its errors in sentences."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from xlearn.config.arguments import searchpath
from xlearn.config.folders import broken, conf_folder, groups, options, read_yaml
from xlearn.config.renamed import renamed_key
from xlearn.config.schema import LISTS, NOT_IDENTITY, TrainConfig
from xlearn.data.options import TaskOptions
from xlearn.runtime.errors import Problem, Problems, nearest
from xlearn.runtime.hashing import digest

# `source=none` is no task, and `target` is a role beside the names of the sources.
RESERVED = ("none", "target", "unlabeled")
# `teacher/image=same`: the encoder of the teacher is that of `encoder/image`.
SAME = "same"


def register(config_dirs: list[Path]) -> None:
    """Store the schema, and every `task/*.yaml` twice: as an option of `target` and as one of `source`.

    In plain Hydra `source=mnist5k` would replace the node by a string. As options under the package `source.<name>`
    one or several can be chosen: `source=mnist5k`, `source=[mnist5k,fashion_mnist]`, `source=none`.
    Raises `Problems` for every task that cannot be read or has a name that cannot be chosen, and for every option that
    another of the same name would hide.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    store.store(group="source", name="none", node={}, package="source")
    problems = _hidden([conf_folder(), *config_dirs])
    for name, file in options("task", [conf_folder(), *config_dirs]).items():
        if name in RESERVED or "." in name:
            why = "a dot separates keys" if "." in name else f"{name!r} has a meaning of its own"
            fixed = name.replace(".", "_") if "." in name else f"my_{name}"
            problems.append(f"{file}: no task can be called {name!r}, because {why}. Rename the file, e.g. to {fixed}.yaml.")
            continue
        try:
            node = {**asdict(TaskOptions()), **read_yaml(file)}
        except Problem as problem:
            problems.append(str(problem))
            continue
        store.store(group="source", name=name, node=node, package=f"source.{name}")
        store.store(group="target", name=name, node=node, package="target")
    # Encoders are options of `teacher` too: those of the networks that teach, where they are others than the target's.
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
    OmegaConf.register_new_resolver("digest", lambda _root_: digest(identity(_root_)), replace=True)


def _hidden(folders: list[Path]) -> list[str]:
    """A sentence for every option that Hydra would not find: it takes the first of a name. Tasks and tables are ours."""
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

    Raises `Problem` for what cannot be composed, and where a group lacks its one option (see `check_choices`).
    """
    GlobalHydra.instance().clear()
    search = [searchpath(config_dirs)] if config_dirs else []
    with sentences(config_dirs), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", overrides=[*overrides, *search], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    check_choices(choices(config.hydra))
    return config


def identity(config: DictConfig) -> dict[str, Any]:
    """What makes a run the run it is: the resolved configuration without what leaves its numbers alone."""
    names = [str(name) for name in config if name not in (*NOT_IDENTITY, "hydra")]
    return {name: plain(config[name]) for name in names}


def plain(node: Any, complete: bool = False) -> Any:
    """Python containers for a node of the configuration; `complete`: a value still to be given (`???`) is an error."""
    if not OmegaConf.is_config(node):
        return node
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=complete)


def complete(config: DictConfig) -> dict[str, Any]:
    """The whole configuration as Python containers. After this, nothing is config any more."""
    return {str(name): plain(config[name], complete=True) for name in config if name != "hydra"}


def choices(hydra_config: Any) -> dict[str, str]:
    """The option chosen in each group of ours, from Hydra's own part of a configuration. Lists of options are left out."""
    chosen = hydra_config.runtime.choices
    return {str(group): str(option) for group, option in chosen.items() if not str(group).startswith("hydra/")}


def check_choices(chosen: Mapping[str, str]) -> None:
    """Raise `Problems` for every group in which not exactly one option is chosen.

    Hydra would merge the options of a list into one node, where the last wins silently. Only the tasks of `source` and
    the augmentations stand beside each other.
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
    """The words of a command, where values of a swept group wait for the single runs: after `-m transfer=l2_sp,delta` the
    word `transfer.steps=5` becomes `transfer.steps=choice(5)`.

    Hydra composes a sweep without what is swept first, to read its own settings, and would find no such key in the default
    option.
    """
    if not {"-m", "--multirun"} & set(words):
        return [*words]
    parser, swept, keys = OverridesParser.create(), [], {}
    for word in words:
        with suppress(HydraException):  # a flag; or a mistake, which Hydra tells
            each = parser.parse_override(word)
            if not each.is_sweep_override() and not each.is_delete():
                keys[word] = each.key_or_group
            elif "." not in each.key_or_group:
                swept.append(f"{each.key_or_group.replace('/', '.')}.")

    def choice(word: str) -> str:
        key, _, value = word.partition("=")
        return f"{key}=choice({value})" if value and keys.get(word, "").startswith((*swept,)) else word

    return [choice(word) for word in words]


@contextmanager
def sentences(config_dirs: list[Path]) -> Iterator[None]:
    """Turn the errors of Hydra and OmegaConf into a `Problem` that names the key, its value and the nearest ones."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise Problem(_sentence(error, [conf_folder(), *config_dirs])) from error
    except yaml.YAMLError as error:
        raise Problem(broken(error)) from error
    except UnicodeDecodeError as error:
        places = ", ".join(map(str, [conf_folder(), *config_dirs]))
        raise Problem(f"A configuration file in {places} is no text in UTF-8 ({error}). Save it so.") from error
    except ValueError as error:
        if "Config group override" in str(error):
            raise Problem(f"{error}. To choose nothing, write source=none.") from error
        raise


def _sentence(error: Exception, folders: list[Path]) -> str:
    text = str(error)
    if isinstance(error, MissingConfigException) and (lacking := error.missing_cfg_file or ""):
        group, _, name = lacking.rpartition("/")
        if group:
            return f"{group}={name}: there is no such option. {nearest(name, error.options or _options(group, folders))}"
    if inside := re.match(r"In '(.+)/(.+?)': \w+ raised while composing config:\n(.+)", text):
        group, name, told = inside.groups()
        file = _options(group, folders).get(name)
        unknown = re.match(r"Key '(\w+)' not in", told)
        if unknown and (now := renamed_key(unknown.group(1))) is not None:
            return f"{file or f'{group}={name}'}: {unknown.group(1)}: {now}"
        return (_broken(file) if file else "") or f"{file or f'{group}={name}'}: {told}. Mend it there."
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.key is not None:
        key = str(cause.full_key or cause.key)
        first = str(cause).splitlines()[0]
        if isinstance(cause, MissingMandatoryValue):
            return f"{key} has to be given, as in {key}=VALUE."
        if "not a subclass of PhaseConfig" in first:
            override = text.removeprefix("Error merging override ")
            chain = "pretrain" if "pretrain" in override.partition(".")[0] else "transfer"
            return (
                f"{override}: phases cannot be added on the command line. Write {chain}/NAME.yaml with all phases into a "
                f"folder, and choose it: --config-dir FOLDER {chain}=NAME."
            )
        if (now := renamed_key(key.rpartition(".")[2])) is not None:
            return f"{key}: {now}"
        if "not in struct" in first or "not in '" in first or "not found" in first:
            return f"{key}: there is no such key. {_known(key, cause.parent_node, folders)}"
        return f"{key}: {first}."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def _options(group: str, folders: list[Path]) -> dict[str, Path]:
    """The options of a group as they are chosen: those of `source` and `target` are the tasks, those of `teacher` encoders."""
    if group.startswith("teacher/"):
        return {SAME: conf_folder() / "train.yaml", **options(group.replace("teacher", "encoder", 1), folders)}
    return options("task" if group in ("source", "target") else group, folders)


def _broken(file: Path) -> str:
    """What is wrong with a file of YAML, or nothing."""
    try:
        read_yaml(file)
    except Problem as problem:
        return str(problem)
    return ""


def _known(key: str, parent: Any, folders: list[Path]) -> str:
    prefix, _, last = key.rpartition(".")
    names = [str(name) for name in parent if name != "hydra"] if isinstance(parent, DictConfig) else []
    group = prefix.replace(".", "/")
    having = [option for option, file in options(group, folders).items() if prefix and last in read_yaml(file)]
    if having:
        return f"It belongs to {' and '.join(f'{group}={option}' for option in having)}."
    return nearest(last, names if prefix else [*names, *groups(folders)])
