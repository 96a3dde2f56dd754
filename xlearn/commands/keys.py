"""What each key of the configuration means and its default, from the comments beside it. Imports nothing heavy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.runtime.addresses import PACKAGE

SCHEMA, OPTIONS = PACKAGE / "config" / "schema.py", PACKAGE / "data" / "options.py"
# Keys with several paths in the configuration: (file, class, paths).
CLASSES = (
    (OPTIONS, "TaskOptions", ("target.{}", "source.NAME.{}")),
    (SCHEMA, "PhaseConfig", ("pretrain.phases.NAME.{}", "transfer.phases.NAME.{}")),
    (SCHEMA, "ChainConfig", ("pretrain.{}", "transfer.{}")),
    (SCHEMA, "StageBudget", ("budget.pretrain.{}", "budget.transfer.{}")),
)
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?: +(?P<default>[^#\n]*?))?(?: *# (?P<meaning>.*))?$")


class Key(NamedTuple):
    """`paths`: its places in the configuration; `default` as in YAML."""

    paths: tuple[str, ...]
    default: str
    meaning: str


def keys() -> list[Key]:
    """Every key that is not one of a component's arguments."""
    found = [key for key in _of_yaml(conf_folder() / "train.yaml") if not key.paths[0].startswith("hydra")]
    found += [key for file, name, paths in CLASSES for key in _of_class(file, name, paths)]
    return [_by_label_space(key) for key in found]


def _by_label_space(key: Key) -> Key:
    """The key with the defaults that label spaces set, e.g. `5 (classes), 50 (numbers)`."""
    by_value: dict[str, list[str]] = {}
    for name, file in options("label_space", [conf_folder()]).items():
        node: Any = read_yaml(file)
        for part in key.paths[0].split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None and not isinstance(node, dict):
            by_value.setdefault(str(node), []).append(name)
    if not by_value:
        return key
    said = ", ".join(f"{value} ({', '.join(names)})" for value, names in by_value.items())
    if key.paths[0].startswith("target."):
        return key._replace(default=f"{said} for the target, {key.default} for sources")
    return key._replace(default=said if key.default == "???" else f"{key.default}; {said}")


def task_keys() -> list[Key]:
    """The options of every task."""
    return [key for key in keys() if key.paths[0].startswith("target.")]


def named(word: str) -> list[Key]:
    """The keys of this path (`image.size`, `transfer.phases.finetune.keep`) or of this last name (`keep`)."""
    every = keys()
    exact = [key for key in every if any(_matches(path, word) for path in key.paths)]
    return exact or [key for key in every if key.paths[0].rpartition(".")[2] == word]


def _matches(path: str, word: str) -> bool:
    parts, given = path.split("."), word.split(".")
    return len(parts) == len(given) and all(part in (other, "NAME") for part, other in zip(parts, given, strict=True))


def _of_yaml(file: Path) -> Iterator[Key]:
    above: list[tuple[int, str]] = []
    for line in file.read_text(encoding="utf-8").partition("\n\n")[2].splitlines():
        if (match := LINE.match(line)) is None:
            continue
        indent = len(match["indent"])
        above = [each for each in above if each[0] < indent]
        path = ".".join([*(name for _, name in above), match["key"]])
        above.append((indent, match["key"]))
        if match["meaning"]:
            yield Key((path,), match["default"] or "", match["meaning"])


def _of_class(file: Path, name: str, paths: tuple[str, ...]) -> Iterator[Key]:
    """The fields of a dataclass, each with the comment behind it or above it."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    [made] = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == name]
    for node in made.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            behind = lines[node.lineno - 1].partition("  # ")[2]
            above: list[str] = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.lstrip().startswith("# "):
                    break
                above.insert(0, line.strip().removeprefix("# "))
            default = ast.unparse(node.value)
            shown = {"None": "null", "True": "true", "False": "false"}.get(default, default.strip("'"))
            key = node.target.id
            places = tuple(path.format(key) for path in paths)
            yield Key(places, "" if shown.startswith("field(") else shown, behind or " ".join(above))
