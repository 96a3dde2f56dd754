"""Files in folders of runs, which may be of others, as plain data: nothing in them is resolved, imported or expanded."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from xlearn.runtime.errors import Problem

# Megabytes of a file, levels of nesting, and parts (with those that aliases repeat) of a configuration.
LARGEST, DEEPEST, MOST = 512, 60, 200_000
CONFIGURATION = 4
# References to other keys of the file, as Hydra writes them: `${batch_size}`, `${first:${episodes.shots},${target.shots}}`.
REFERENCE = re.compile(r"\$\{(?:first:)?(?P<keys>(?:\$\{)?[A-Za-z_][\w.]*\}?(?:,\$\{[A-Za-z_][\w.]*\})*)\}")


def read_json(file: Path) -> Any:
    """The content of a JSON file. Raises `ValueError` for a file that is no JSON, too large, or nested too deeply."""
    _need_size(file, LARGEST)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_configuration(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file of Hydra. References to other keys of it are replaced by their single values; every other
    interpolation stays as it is written, such as `${oc.env:NAME}`.

    Raises `ValueError` for a file that is no mapping, too large, or nested too deeply, with or without aliases.
    """
    _need_size(file, CONFIGURATION)
    text = file.read_text(encoding="utf-8")
    try:
        _need_flat(text)
        content = yaml.load(text, _loader())
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name} is no YAML: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file.name} holds no mapping")
    _count(content, {}, 0)
    return _resolved(content, content)


def _need_size(file: Path, megabytes: int) -> None:
    if not file.is_file():
        raise ValueError(f"{file.name} is no regular file")
    if (size := file.stat().st_size) > megabytes * 2**20:
        raise ValueError(f"{file.name} has {size / 2**20:.0f} MB, more than {megabytes}")


def _need_flat(text: str) -> None:
    """Before anything is built: the parser's events need no recursion."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _loader() -> Any:
    """OmegaConf's loader: a safe one that reads numbers as Hydra does."""
    from omegaconf._utils import get_yaml_loader

    return get_yaml_loader()


def _count(node: Any, known: dict[int, int], depth: int) -> int:
    """The parts of a node, those of aliases again wherever they stand. Each object is looked at once."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    if not isinstance(node, dict | list):
        return 1
    if id(node) not in known:
        inner = node.values() if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_count(each, known, depth + 1) for each in inner)
        if known[id(node)] > MOST:
            raise ValueError(f"its aliases stand for more than {MOST:,} parts")
    return known[id(node)]


def _resolved(node: Any, root: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        return {str(name): _resolved(each, root) for name, each in node.items()}
    if isinstance(node, list):
        return [_resolved(each, root) for each in node]
    return _single(node, root) if isinstance(node, str) else node


def _single(text: str, root: dict[str, Any], depth: int = 0) -> Any:
    """The first value that is not null of the keys that a text refers to; the text itself if it is no such reference."""
    match = REFERENCE.fullmatch(text)
    if match is None or depth > DEEPEST:
        return text
    found = None
    for key in re.findall(r"[A-Za-z_][\w.]*", match["keys"]):
        value: Any = root
        for name in key.split("."):
            if not isinstance(value, dict) or name not in value:
                return text
            value = value[name]
        if isinstance(value, dict | list):  # only single values are repeated
            return text
        value = _single(value, root, depth + 1) if isinstance(value, str) else value
        found = value if found is None else found
    return found


def need_run(result: dict[str, Any], file: Path) -> None:
    """Raise `Problem` for content that is not the result of a run: keys that every command reads are not there."""
    lacking = [name for name, kind in PARTS.items() if not isinstance(_at(result, name), kind)]
    if lacking:
        raise Problem(
            f"{file} is no complete result of xlearn train: {', '.join(lacking)} is not there or of another kind. It is "
            "damaged, or another program's: delete it and repeat the run, or name a folder without it."
        )


# What commands read of a result, with its kind.
PARTS: dict[str, type] = {
    "config": dict, "config.metric": str, "config.seed": int, "config.target": dict, "config.source": dict,
    "config.transfer": dict, "choices": dict, "metrics": dict, "baseline": dict, "baseline.metrics": dict, "gain": dict,
    "selection": list, "phases": list,
}  # fmt: skip


def _at(node: Any, path: str) -> Any:
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node
