"""The arguments of a command: flags and overrides. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xlearn.runtime.errors import Problem, nearest

HELP = ("--help", "-h")
CONFIG_DIR = ("--config-dir", "-cd")
# Hydra's flags that take a value in the next word.
VALUED = (
    *CONFIG_DIR, "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--cfg", "-c", "--shell-completion", "-sc",
)  # fmt: skip
INFO = ("--info", "-i")
TOPICS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
OTHERS = ("--multirun", "-m", "--run", "-r", "--resolve", "--version", "--hydra-help", "--experimental-rerun")


class Flag(NamedTuple):
    """A flag, its value (None: without), and the typed words of both."""

    name: str
    value: str | None
    words: tuple[str, ...]


def split(words: Sequence[str]) -> tuple[list[Flag], list[str]]:
    """(flags, the other words), each in their order."""
    flags: list[Flag] = []
    others: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            others.append(word)
        elif equals:
            flags.append(Flag(name, value, (word,)))
        elif name in VALUED and waiting:
            flags.append(Flag(name, waiting[0], (word, waiting.pop(0))))
        elif name in INFO:
            # Hydra takes any next word as the topic.
            topic = waiting.pop(0) if waiting and waiting[0] in TOPICS else "all"
            flags.append(Flag(name, topic, (word, topic)))
        else:
            flags.append(Flag(name, None, (word,)))
    return flags, others


def flags_first(words: Sequence[str]) -> list[str]:
    """The words with the flags first, each with its value: Hydra accepts no flag between overrides.

    Hydra uses only the last `--config-dir`; the others become its search path.
    """
    flags, overrides = split(words)
    *others, _ = [flag for flag in flags if flag.name in CONFIG_DIR and flag.value] or [None]
    more = [searchpath([Path(flag.value).expanduser() for flag in others if flag and flag.value])] if others else []
    return [*(word for flag in flags if flag not in others for word in flag.words), *overrides, *more]


def searchpath(folders: Sequence[Path]) -> str:
    """The override that adds `folders` to Hydra's search path."""
    places = [str(folder.resolve()).replace("'", "\\'") for folder in folders]
    quoted = [f"'file://{place}'" for place in places]
    return f"hydra.searchpath=[{','.join(quoted)}]"


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The folders given by `--config-dir` or `-cd`. Raises `Problem` for one that does not exist."""
    return [config_dir(flag.name, flag.value) for flag in split(words)[0] if flag.name in CONFIG_DIR]


def config_dir(flag: str, value: str | None) -> Path:
    """The folder that a flag names. Raises `Problem` if it does not exist."""
    if not value:
        raise Problem(f"{flag} needs a folder, as in {flag} FOLDER: one with task/, transfer/ or other groups of YAML in it.")
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise Problem(f"{flag} {value}: there is no such folder in {Path.cwd()}. Name one with task/, transfer/, ... in it.")
    return folder


def asks_help(words: Sequence[str]) -> bool:
    return any(flag.name in HELP for flag in split(words)[0])


def refuse_flags(words: Sequence[str], command: str, own: Sequence[str] = ()) -> None:
    """Raise `Problem` for a flag other than --config-dir, --help and the command's `own`."""
    for flag in split(words)[0]:
        if flag.name in (*VALUED, *INFO, *OTHERS) and flag.name not in CONFIG_DIR:
            told = " ".join(flag.words)
            raise Problem(f"{told}: {command} takes only --config-dir FOLDER and --help. Use `xlearn train {told}`.")
        if flag.name not in (*CONFIG_DIR, *HELP, *own):
            known = ["--config-dir", "--help", *own]
            raise Problem(f"{flag.name}: there is no such flag of {command}. {nearest(flag.name, known)}")
