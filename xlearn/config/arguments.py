"""The words of a command: Hydra's flags among the overrides. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path

# Hydra's flags that take a value in the next word.
VALUED = (
    "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--cfg", "-c",
    "--shell-completion", "-sc",
)  # fmt: skip


def flags_first(words: Sequence[str]) -> list[str]:
    """Hydra takes its flags first or last only; put them first, each with its value."""
    flags: list[str] = []
    overrides: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word.startswith("-"):
            flags.append(word)
            if word in VALUED and (value := next(waiting, None)) is not None:
                flags.append(value)
        else:
            overrides.append(word)
    return flags + overrides


def config_dirs(arguments: list[str]) -> list[Path]:
    """The folders given by `--config-dir` or `-cd`, as Hydra takes them."""
    found = []
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--config-dir", "-cd"):
            given = value or (arguments[position + 1] if position + 1 < len(arguments) else "")
            found.append(Path(given).expanduser())
    return [folder for folder in found if folder.is_dir()]
