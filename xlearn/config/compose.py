"""Composition by Hydra: the schema and the tasks in its store, the digest of a run, and its errors in sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from xlearn.config.folders import conf_folder, groups, options, read_yaml
from xlearn.config.schema import NOT_IDENTITY, TrainConfig
from xlearn.errors import Problem, nearest
from xlearn.hashing import digest
from xlearn.task_options import TaskOptions


def register(config_dirs: list[Path]) -> None:
    """Store the schema, and every `task/*.yaml` twice: as an option of `target` and as one of `source`.

    In plain Hydra `source=mnist5k` would replace the node by a string. As options under the package `source.<name>`
    one or several can be chosen: `source=mnist5k`, `source=[mnist5k,fashion_mnist]`, `source=none`.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    store.store(group="source", name="none", node={}, package="source")
    for name, file in options("task", [conf_folder(), *config_dirs]).items():
        node = {**asdict(TaskOptions()), **read_yaml(file)}
        store.store(group="source", name=name, node=node, package=f"source.{name}")
        store.store(group="target", name=name, node=node, package="target")
    OmegaConf.register_new_resolver("digest", lambda _root_: digest(identity(_root_)), replace=True)


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


@contextmanager
def sentences(config_dirs: list[Path]) -> Iterator[None]:
    """Turn the errors of Hydra and OmegaConf into a `Problem` that names the key, its value and the nearest ones."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise Problem(_sentence(error, [conf_folder(), *config_dirs])) from error
    except ValueError as error:
        if "Config group override" in str(error):
            raise Problem(f"{error}. To choose nothing, write source=none.") from error
        raise


def _sentence(error: Exception, folders: list[Path]) -> str:
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: there is no such option. {nearest(name, error.options)}"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.key is not None:
        key = str(cause.full_key or cause.key)
        first = str(cause).splitlines()[0]
        if isinstance(cause, MissingMandatoryValue):
            return f"{key} has to be given, as in {key}=VALUE."
        if "not in struct" in first or "not in '" in first or "not found" in first:
            return f"{key}: there is no such key. {_known(key, cause.parent_node, folders)}"
        return f"{key}: {first}."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def _known(key: str, parent: Any, folders: list[Path]) -> str:
    prefix, _, last = key.rpartition(".")
    names = [str(name) for name in parent if name != "hydra"] if isinstance(parent, DictConfig) else []
    group = prefix.replace(".", "/")
    having = [option for option, file in options(group, folders).items() if prefix and last in read_yaml(file)]
    if having:
        return f"It belongs to {' and '.join(f'{group}={option}' for option in having)}."
    return nearest(last, names if prefix else [*names, *groups(folders)])
