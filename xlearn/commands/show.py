"""`xlearn show`: what can be chosen. Reads YAML and source text; trains nothing and imports no torch."""

import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from xlearn.commands.declared_needs import needs_in_words
from xlearn.commands.keys import Key, keys, named, task_keys
from xlearn.config.arguments import asks_help, config_dirs, refuse_flags, split
from xlearn.config.folders import conf_folder, groups, options, read_text, read_yaml
from xlearn.runtime.addresses import definition, module_file
from xlearn.runtime.errors import Problem, nearest

# `source` and `target` are made of the tasks.
TASK_GROUPS = ("source", "target")
PRESET = "trainable"
LABEL_SPACE = "label_space"  # named in the file of a task
BASELINE = "baseline"
BASELINE_SAID = """transfer@baseline
    default: scratch
    what the gain compares with: an option of transfer (`xlearn show transfer`), with the same labels, split, seed and budget.
    A target without labels (target.shots=0) is compared with the source's network applied unchanged."""


HELP = """xlearn show                  every group with its options
xlearn show transfer         one group
xlearn show transfer=lp_ft   one option: its YAML and its documentation
xlearn show image.size       one key: its default and its meaning; a last name is enough (xlearn show keep)"""


def main(arguments: list[str]) -> int:
    """Print all groups, one group, or one option. Returns the exit status."""
    if asks_help(arguments):
        print(HELP)
        return 0
    try:
        refuse_flags(arguments, "show")
        print(shown(split(arguments)[1], config_dirs(arguments)))
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def shown(words: Sequence[str], config_dirs: list[Path]) -> str:
    """What `xlearn show` prints of these words: every group without any."""
    folders = [conf_folder(), *config_dirs]
    parts = [] if words else [show_all(folders)]
    for word in words:
        group, _, option = word.partition("=")
        if not group:
            raise Problem(f"show {word!r}: name a group, as in `xlearn show transfer` or `xlearn show transfer=lp_ft`.")
        parts.append(show_option(group, option, folders) if option else show_word(word, folders))
    return "\n".join(parts)


def show_word(word: str, folders: list[Path]) -> str:
    """A group, a key, or both where they have one name."""
    found = named(word)
    if word == BASELINE:
        return BASELINE_SAID
    if not _is_group(word, folders):
        if not found and (said := show_argument(word, folders)):
            return said
        if not found:
            known = {*_all_groups(folders), BASELINE, *(path for key in keys() for path in key.paths)}
            names = {path.rpartition(".")[2] for path in known}
            raise Problem(f"{word}: there is no such group and no such key. {nearest(word, {*known, *names})}")
        return show_keys(found)
    return show_group(word, folders)


def show_argument(word: str, folders: list[Path]) -> str:
    """The options with an argument of this name (`target.size`, `sharing.first`) and their defaults; or nothing."""
    path, _, name = word.rpartition(".")
    found = options(_folder(path.replace(".", "/")), folders) if path else {}
    given = {option: read_yaml(file) for option, file in found.items()}
    having = {option: node[name] for option, node in given.items() if name in node and name not in ("defaults", "_target_")}
    lines = [f"    {path.replace('.', '/')}={option}: default {json.dumps(value)}" for option, value in having.items()]
    example = f"{path.replace('.', '/')}={next(iter(having))}" if having else ""
    return "\n".join([f"{word}: an argument of", *lines, f"`xlearn show {example}` explains it."]) if having else ""


def show_keys(found: Sequence[Key]) -> str:
    """Each key with its default and its meaning."""
    parts = []
    for key in found:
        default = f"    default: {key.default}\n" if key.default else ""
        parts.append(f"{', '.join(key.paths)}\n{default}    {key.meaning}")
    return "\n\n".join(parts)


def show_all(folders: list[Path]) -> str:
    """Every group, each option on a line."""
    return "\n\n".join(show_group(group, folders) for group in _all_groups(folders))


def show_group(group: str, folders: list[Path]) -> str:
    """`group=option   what it is`, a line each."""
    found = _options(group, folders)
    command = {
        "table": "xlearn table {}  ",
        PRESET: "trainable@transfer.phases.NAME.trainable={}",
        LABEL_SPACE: "label_space: {}",
    }.get(group, f"{group}={{}}")
    named = {command.format(name): first_comment(file) for name, file in found.items()}
    width = max(len(name) for name in named)
    return "\n".join(f"{name:<{width}}  {comment}".rstrip() for name, comment in named.items())


def show_option(group: str, option: str, folders: list[Path]) -> str:
    """The YAML of an option, and the docstring of each `_target_` in it."""
    found = _options(group, folders)
    if option not in found:
        raise Problem(f"{group}={option}: there is no such option. {nearest(option, found)}")
    files = [found[option], *_presets(found[option], folders)]
    parts = [f"# {file}\n{read_text(file).rstrip()}" for file in files]
    for target in dict.fromkeys(target for file in files for target in _targets(read_yaml(file))):
        parts.append("\n\n".join(each for each in (f"{target}\n{docstring(target)}", needs_in_words(target)) if each))
    if group in ("task", *TASK_GROUPS):
        prefix = f"source.{option}" if group == "source" else "target"
        own = [key._replace(paths=(f"{prefix}.{key.paths[0].rpartition('.')[2]}",)) for key in task_keys()]
        parts.append(f"options of every task\n{docstring('xlearn.data.options.TaskOptions')}\n\n{show_keys(own)}")
    return "\n\n".join(parts)


def first_comment(file: Path) -> str:
    """The first comment line that is no directive of Hydra."""
    for line in read_text(file).splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def docstring(target: str) -> str:
    """The docstring of what has an address, indented; from the source text, so that nothing is imported."""
    module, name = definition(target)
    file = module_file(module)
    if file is None:
        return f"    (see the documentation of {module.split('.')[0]})"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            text = ast.get_docstring(node) or "(no docstring)"
            return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
    return f"    (see the documentation of {module.split('.')[0]})"


def _targets(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if isinstance(node.get("_target_"), str) else []
        return own + [target for value in node.values() for target in _targets(value)]
    return []


def _presets(file: Path, folders: list[Path]) -> list[Path]:
    """The files of the presets that an option names among its defaults."""
    named = [each for each in read_yaml(file).get("defaults") or [] if isinstance(each, dict)]
    wanted = [str(name) for each in named for key, name in each.items() if str(key).startswith(f"/{PRESET}@")]
    there = options(PRESET, folders)
    return [there[name] for name in dict.fromkeys(wanted) if name in there]


def _all_groups(folders: list[Path]) -> list[str]:
    return [group for group in groups(folders) if group != "task"] + list(TASK_GROUPS)


def _folder(group: str) -> str:
    return "task" if group in TASK_GROUPS else group.replace("teacher/", "encoder/", 1)


def _is_group(word: str, folders: list[Path]) -> bool:
    return bool(options(_folder(word), folders))


def _options(group: str, folders: list[Path]) -> dict[str, Path]:
    # `teacher/image` has the options of `encoder/image`.
    found = options(_folder(group), folders)
    if not found:
        raise Problem(f"{group}: there is no such group. {nearest(group, _all_groups(folders))}")
    return found
