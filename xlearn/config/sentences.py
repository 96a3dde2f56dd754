"""The errors of Hydra, OmegaConf and the YAML parser as sentences: the key, its value, and the nearest ones."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from xlearn.config.folders import broken, conf_folder, groups, options, read_yaml
from xlearn.config.quoting import shown
from xlearn.config.renamed import renamed_key
from xlearn.config.schema import LABEL_SPACE, PRESETS, SAME
from xlearn.runtime.errors import Problem, nearest


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
        raise Problem(f"A configuration file in {places} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except ValueError as error:
        if "Config group override" in str(error):
            raise Problem(f"{error}. To choose nothing, write source=none.") from error
        raise


def _sentence(error: Exception, folders: list[Path]) -> str:
    text = str(error)
    if ambiguous := re.search(r"Ambiguous value for argument '(.+?)'\n", text, re.S):
        key, _, value = ambiguous[1].partition("=")
        one = shown(ambiguous[1])
        return f"{ambiguous[1]}: several values. A list is {key}=[{value}], one text {one}, and a sweep over them needs -m."
    if isinstance(error, MissingConfigException) and (lacking := error.missing_cfg_file or ""):
        group, _, name = lacking.rpartition("/")
        if group:
            return f"{group}={name}: there is no such option. {nearest(name, error.options or _options(group, folders))}"
    if inside := re.match(r"In '(.+)/(.+?)': \w+ raised while composing config:\n(.+)", text):
        group, name, told = inside.groups()
        file = _options(group, folders).get(name)
        unknown = re.match(r"Key '(\w+)' not in '(\w+)'", told)
        if unknown and (now := renamed_key(unknown.group(1), chain=unknown.group(2) == "ChainConfig")) is not None:
            return f"{file or f'{group}={name}'}: {unknown.group(1)}: {now}"
        return (_broken(file) if file else "") or f"{file or f'{group}={name}'}: {told}. Fix it there."
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
        if (now := _now(key)) is not None:
            return f"{key}: {now}"
        if "not in struct" in first or "not in '" in first or "not found" in first:
            added = re.search(r"To append to your config use (\+\S+)", text)
            command = added[1] if added else f"+{key}=VALUE"
            if key.startswith("hydra.launcher."):
                return f"{key}: the launcher's file does not set it. If the launcher knows it, add it: {command}."
            if ".batches." in key:
                return f"{key}: the phase does not set it. Write {command}. `xlearn show batches` has the arguments."
            if (group := key.replace(".", "/")) in groups(folders) and "/" in group:
                chosen = " or ".join(f"+{group}={name}" for name in options(group, folders))
                return f"{key}: no {group} is chosen by default. Add one first: {chosen}."
            return f"{key}: there is no such key. {_known(key, cause.parent_node, folders)}"
        return f"{key}: {first}."
    if re.match(rf"(Could not override '{PRESETS}['@]|Multiple values for {PRESETS}@)", text):
        return (
            f"{PRESETS}: a preset is chosen for a phase of the transfer. Write {PRESETS}@transfer.phases.NAME.trainable=OPTION "
            f"to replace the preset of a phase (`xlearn show {PRESETS}`), and +{PRESETS}@... for a phase without "
            "one."
        )
    if text.startswith("Could not override 'measuring"):
        return (
            "measuring: it belongs to a transfer. Choose one that measures so (transfer=episodes), write +measuring@"
            "transfer.measuring=OPTION, or `/measuring@measuring: OPTION` into the defaults of a transfer of your own."
        )
    if "@" in text and LABEL_SPACE in text and "appears more than once" in text:
        return "target: choose one option, as in target=optdigits; no list."
    if text.startswith(f"Could not override '{LABEL_SPACE}"):
        return (
            f"{LABEL_SPACE} follows from the target and cannot be chosen. Set its defaults one by one (metric, target.shots, "
            f"objective), or write `{LABEL_SPACE}: NAME` into the file of the task."
        )
    if added := re.search(r"To append to your default list use \+(.+?)=(.+)", text):
        return _unchosen(added.group(1), added.group(2), text, folders)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def _now(key: str) -> str | None:
    """A sentence for an old key of a phase or of a chain."""
    inside = re.fullmatch(r"\w+(?P<phase>\.phases\.[^.]+)?\.(?P<last>\w+)", key)
    return renamed_key(inside["last"], chain=not inside["phase"]) if inside else None


def _unchosen(group: str, name: str, text: str, folders: list[Path]) -> str:
    """A group of which nothing is chosen by default, as that of a modality of one's own."""
    if meant := re.search(r"Did you mean to override (\S+)\?", text):
        return f"{group}={name}: there is no such group here. Did you mean {meant.group(1)}={name}?"
    if name not in (there := _options(group, folders)):
        return f"{group}={name}: there is no such option. {nearest(name, there)}"
    return f"{group}={name}: no {group} is chosen by default, so it has to be added. Write +{group}={name}."


def _options(group: str, folders: list[Path]) -> dict[str, Path]:
    """The options of a group; for `source` and `target` the tasks, for `teacher` the encoders."""
    if group.startswith("teacher/"):
        return {SAME: conf_folder() / "train.yaml", **options(group.replace("teacher", "encoder", 1), folders)}
    return options("task" if group in ("source", "target") else group, folders)


def _broken(file: Path) -> str:
    """The problem of a YAML file as a sentence, or nothing."""
    try:
        read_yaml(file)
    except Problem as problem:
        return str(problem)
    return ""


def _known(key: str, parent: Any, folders: list[Path]) -> str:
    prefix, _, last = key.rpartition(".")
    names = [str(name) for name in parent if name != "hydra"] if isinstance(parent, DictConfig) else []
    if prefix == "source" and last not in options("task", folders):  # a key of a source, without the source's name
        having = [name for name in names if isinstance(parent, DictConfig) and last in [*(parent[name] or {})]]
        if having:
            return f"A source's keys stand below its name: write {' or '.join(f'source.{name}.{last}' for name in having)}."
    group = prefix.replace(".", "/")
    having = [option for option, file in options(group, folders).items() if prefix and last in read_yaml(file)]
    if having:
        return f"It belongs to {' and '.join(f'{group}={option}' for option in having)}."
    return nearest(last, names if prefix else [*names, *groups(folders)])
