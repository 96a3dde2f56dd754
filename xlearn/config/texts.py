"""Values of the command line that are texts, whatever they look like: `experiment=7e91234` is no number.

Hydra types a value by its form. Here the type of its key decides: a value that Hydra would read as a number, a truth value or
null is quoted where its key takes texts only.
"""

import re
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from xlearn.config.component import hints_of, leaves_of, members, resolve
from xlearn.config.folders import conf_folder, groups
from xlearn.config.schema import TrainConfig
from xlearn.data.options import TaskOptions
from xlearn.runtime.errors import Problem

# What Hydra may read as something else than a text.
LOOKS = re.compile(r"[+-]?(\d[\d_]*|[\d_]*\.[\d_]*|(\d[\d_]*\.?|[\d_]*\.[\d_]+)e[+-]?\d[\d_]*|inf|nan)|null|true|false", re.I)
INTEGER = re.compile(r"-?(0|[1-9]\d*)")
# Parts of a value: quoted texts, interpolations, separators, and the rest.
PARTS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\$\{[^}]*\}|[\[\]{}(),:]|[^\[\]{}(),:'"$]+|.""", re.S)
# Functions of Hydra's grammar whose arguments have the type of the key.
LISTING = ("choice", "shuffle")
# No type is declared: a component's argument, or a key that does not exist.
UNKNOWN = object()
# Finds the node of a component: its configuration with the words of the command.
Nodes = typing.Callable[[Sequence[str]], Any]


def quoted(words: Sequence[str], config_dirs: Sequence[Path], nodes: Nodes) -> list[str]:
    """The words of a command with quotes around values that are texts by their keys. Others, and flags, stay as they are.

    `nodes` composes the configuration of some words; it is called only for arguments of components that the files do not show
    to be numbers.
    """
    parsed = {word: each for word in words if _may_be_text(word) and (each := _parsed(word)) is not None}
    types_of: dict[str, Any] = {}
    asked = []
    for word, each in parsed.items():
        hint = _of_key(each, config_dirs)
        types_of[word] = hint
        if hint is UNKNOWN and not _is_number(each.key_or_group.rpartition(".")[2], tuple(config_dirs)):
            asked.append(word)
    if asked:
        types_of |= _of_components(words, {word: parsed[word].key_or_group for word in asked}, nodes)
    return [_with_quotes(word, types_of[word]) if types_of.get(word, UNKNOWN) is not UNKNOWN else word for word in words]


def _may_be_text(word: str) -> bool:
    """Whether a word is an override with a part that Hydra may read as something else than a text."""
    key, equals, value = word.partition("=")
    return (
        bool(equals) and not key.startswith(("-", "~")) and any(LOOKS.fullmatch(part.strip()) for part in PARTS.findall(value))
    )


def _parsed(word: str) -> Override | None:
    with suppress(HydraException):  # Hydra reports it
        return OverridesParser.create().parse_override(word)
    return None


def _of_key(override: Override, config_dirs: Sequence[Path]) -> Any:
    """The type of an override's key: that of the schema or of a task's option; a text for a group."""
    key = override.key_or_group
    if override.package is not None or "/" in key or key in {*_groups(tuple(config_dirs)), "source", "target"}:
        return str | None  # the name of an option
    path = key.split(".")
    options = path[1:] if path[0] == "target" else path[2:] if path[0] == "source" else []
    if options and options[0] in typing.get_type_hints(TaskOptions):
        return _below(TaskOptions, options)
    return _below(HydraConf, path[1:]) if path[0] == "hydra" else _below(TrainConfig, path)


@cache
def _groups(config_dirs: tuple[Path, ...]) -> frozenset[str]:
    return frozenset(groups([conf_folder(), *config_dirs]))


def _below(hint: Any, path: Sequence[str]) -> Any:
    """The type at a path inside of a type: fields of dataclasses, values of mappings."""
    if not path:
        return UNKNOWN if Any in members(hint) else hint
    for member in members(hint):
        if is_dataclass(member) and path[0] in (fields := typing.get_type_hints(member)):
            return _below(fields[path[0]], path[1:])
        if typing.get_origin(member) in (dict, Mapping) and len(given := typing.get_args(member)) == 2:
            return _below(given[1], path[1:])
    return UNKNOWN


@cache
def _is_number(name: str, config_dirs: tuple[Path, ...]) -> bool:
    """Whether every file of the configuration that has this key gives it a number or a truth value: they are complete."""
    line = re.compile(rf"^\s*(?:- )?{re.escape(name)}:[ \t]*([^#\n]*)", re.M)
    found = [value.strip() for text in _files(config_dirs) for value in line.findall(text)]
    return bool(found) and all(LOOKS.fullmatch(value) and value != "null" for value in found)


@cache
def _files(config_dirs: tuple[Path, ...]) -> tuple[str, ...]:
    folders = (conf_folder(), *config_dirs)
    return tuple(file.read_text(encoding="utf-8", errors="replace") for each in folders for file in each.rglob("*.yaml"))


def _of_components(words: Sequence[str], keys: Mapping[str, str], nodes: Nodes) -> dict[str, Any]:
    """The types of arguments of components, by the signatures of their targets."""
    try:
        config = nodes([_first(word) for word in words if "=" in word and not word.startswith("-")])
    except (Problem, HydraException, ValueError):  # reported when the command composes
        return {}
    found = {}
    for word, key in keys.items():
        node, path = config, key.split(".")
        component: tuple[str, list[str]] | None = None
        for place, name in enumerate(path):
            if not isinstance(node, Mapping):
                break
            if isinstance(target := node.get("_target_"), str):
                component = target, path[place:]
            node = node.get(name)
        if component is not None:
            with suppress(Problem, ValueError):
                hints = hints_of(resolve(component[0], key))
                argument, *inner = component[1]
                found[word] = _below(hints[argument], inner) if argument in hints else UNKNOWN
    return found


def _first(word: str) -> str:
    """A word with the first of its swept values."""
    each = _parsed(word)
    if each is None or not each.is_sweep_override():
        return word
    values = each.sweep_string_iterator() if each.is_choice_sweep() or each.is_range_sweep() else iter(())
    first = next(values, None)
    return word if first is None else f"{each.get_key_element()}={first}"


def _with_quotes(word: str, hint: Any) -> str:
    key, _, value = word.partition("=")
    single, inner = {*leaves_of(hint)}, {*leaves_of(hint, inside=True)}
    parts = PARTS.findall(value)
    pairs = [*zip(parts, [*parts[1:], ""], strict=True)]
    if not {part.strip() for part, after in pairs if after == "(" and part.strip()} <= {*LISTING}:
        return word
    depth, written, before = 0, "", ""
    for part, after in pairs:
        depth += (part in "[{") - (part in "]}")
        # A single value stands between separators. Hydra's grammar has no quotes for keys of mappings.
        whole = before in ("", *"[,(") or (before == ":" and depth > 0)
        whole = whole and after in ("", *"]},)")
        written += _quoted(part, inner if depth else single) if whole else part
        before = part
    return f"{key}={written}"


def _quoted(part: str, leaves: set[Any]) -> str:
    text = part.strip()
    if not LOOKS.fullmatch(text):
        return part
    each = _parsed(f"key={text}")
    value = each.value() if each is not None else text
    if isinstance(value, str) or str not in leaves or Any in leaves or _fits(value, text, leaves):
        return part
    return part.replace(text, f"'{text}'")


def _fits(value: Any, text: str, leaves: set[Any]) -> bool:
    """Whether a value is none of the texts of its key: where a key takes texts and whole numbers (names or positions), numbers
    are those in their usual form.
    """
    if value is None or isinstance(value, bool):
        return type(value) in leaves
    if isinstance(value, int):
        return float in leaves or (int in leaves and INTEGER.fullmatch(text) is not None)
    return float in leaves


def texts_of_file(node: dict[str, Any], text: str) -> dict[str, Any]:
    """The options of a task as its file writes them: `classes: [007, no]` are texts. `node`: the parsed `text`."""
    hints = typing.get_type_hints(TaskOptions)
    if not hints.keys() & node.keys():
        return node
    raw = yaml.load(text, yaml.BaseLoader)
    own = {name: _written(node[name], raw[name], hints[name]) for name in hints.keys() & node.keys() & raw.keys()}
    return {**node, **own}


def _written(value: Any, raw: Any, hint: Any, inside: bool = False) -> Any:
    if isinstance(value, list | dict) and len(value) != len(raw):  # a mapping with merged keys
        return value
    if isinstance(value, list):
        return [_written(each, text, hint, inside=True) for each, text in zip(value, raw, strict=True)]
    if isinstance(value, dict):
        names = zip(value.items(), raw.items(), strict=True)
        return {_written(key, name, str): _written(each, text, hint, inside=True) for (key, each), (name, text) in names}
    leaves = {*leaves_of(hint, inside)}
    return value if isinstance(value, str) or str not in leaves or _fits(value, raw, leaves) else raw
