"""The command line: selects the sub-command before anything heavy is imported."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xlearn.commands.jobs import Job

HELP = """xlearn: transfer across tasks, domains and modalities, with honest numbers.

  xlearn train [key=value ...]      train, transfer, compare with training from scratch; files in outputs/
  xlearn train -m key=a,b,c         the same for every combination (a sweep), on every core
  xlearn check [key=value ...]      try everything on two tiny batches and list all problems
  xlearn table FOLDER...            the results below the folders as a table (xlearn table --help)
  xlearn table NAME [--run]         a table of conf/table, e.g. digits; --run computes what is missing
  xlearn search key=a,b ...         choose values by a selection rule, never by the test split (xlearn search --help)
  xlearn show [group | group=option]    what can be chosen

`xlearn train --help` shows the configuration, `--cfg job` prints it composed, `--info` explains it,
`--config-dir FOLDER` adds your own tasks, methods and tables.
Completion: eval "$(xlearn train -sc install=bash)"  (or zsh, fish)
"""

COMMANDS = ("train", "check", "table", "search", "show")


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if _completion_query(words):
        sys.exit(complete(words))
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        sys.exit(0)
    if words[0] in ("-V", "--version", "version"):
        from xlearn import __version__

        print(f"xlearn {__version__}")
        sys.exit(0)
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        from xlearn.runtime.errors import nearest

        print(
            f"error: there is no command {command!r}. {nearest(command, COMMANDS)} `xlearn --help` explains.", file=sys.stderr
        )
        sys.exit(2)
    try:
        sys.exit(_run(command, rest))
    except BrokenPipeError:  # stdout was closed, as in `xlearn show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(command: str, rest: list[str]) -> int:
    if command == "train":
        from xlearn.commands.train import main as train

        return train(rest, _table)
    if command == "check":
        from xlearn.commands.check import main as run
    elif command == "table":
        from xlearn.table.command import main as run
    elif command == "search":
        from xlearn.search.command import main as run
    else:
        from xlearn.commands.show import main as run
    return run(rest)


def _table(jobs: "Sequence[Job]") -> None:
    """The table at the end of a sweep."""
    from xlearn.table.swept import show

    show(jobs)


def _completion_query(words: Sequence[str]) -> bool:
    return any(word in ("-sc", "--shell-completion") for word in words) and any(word.startswith("query=") for word in words)


def complete(words: list[str]) -> int:
    """Shell completion: sub-commands for the first word, Hydra's overrides after `train` and `check`.

    Hydra's shell functions call `xlearn -sc query=SHELL` with the typed line in COMP_LINE; Hydra knows no
    sub-commands, so `train` is removed from the line, and the cursor moved, before Hydra is called.
    """
    line = os.environ.get("COMP_LINE", "")
    typed = line.split(" ")
    if len(typed) <= 2:
        begun = typed[1] if len(typed) == 2 else ""
        print(" ".join(command for command in COMMANDS if command.startswith(begun)))
        return 0
    if typed[1] not in ("train", "check"):
        return 0
    removed = len(typed[1]) + 1
    os.environ["COMP_LINE"] = " ".join([typed[0], *typed[2:]])
    if "COMP_POINT" in os.environ:
        os.environ["COMP_POINT"] = str(max(0, int(os.environ["COMP_POINT"]) - removed))
    from xlearn.commands.train import main as run

    return run([word for word in words if word not in ("train", "check")])
