"""`xlearn train`: Hydra composes the configuration, a job runs it. torch is imported only if something has to be trained."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from xlearn.commands.job import ERROR, UNBEGUN, Unexpected, failures, is_written, run, shown
from xlearn.commands.jobs import Job
from xlearn.commands.summary import summary
from xlearn.commands.sweep import is_sweep, sweep
from xlearn.commands.title import score, title
from xlearn.config.arguments import config_dirs, flags_first
from xlearn.config.compose import check_choices, choices, complete, register, waiting, with_quotes
from xlearn.config.folders import conf_folder
from xlearn.config.sentences import sentences
from xlearn.runtime.errors import Interrupted, Problem, Problems
from xlearn.runtime.printable import printable

SOURCE_NOTE = (
    "note: the source is {} by default. Name another (source=...), or use only published weights: source=none pretrain=none "
    "with an encoder that has them (`xlearn show encoder/image`)."
)


class JobFailed(Exception):
    """A job of a sweep failed. Its problem is printed and in its `error.txt`; the exit status becomes 1."""


# The problem of a single run. A sweep raises `JobFailed` instead, because its jobs may run in other processes.
_failed: list[str] = []
# The id of this command.
_command: list[str] = []


def main(arguments: list[str], finish: Callable[[list[Job]], None] | None = None) -> int:
    """Compose and run. Returns the exit status: 0, 1 after a problem, 128 + signal after an interruption. `finish`: called with
    the jobs of a sweep at its end.
    """
    # With this Hydra raises its errors instead of printing tracebacks, and `sentences` turns them into a `Problem`.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _failed.clear()
    _command[:] = [uuid4().hex]
    try:
        folders = config_dirs(arguments)
        with sentences(folders):
            if is_sweep(arguments):
                return sweep(arguments, finish)
            register(folders)
            # The program's name in Hydra's help; shell completion needs the name of the completed command.
            completes = {"-sc", "--shell-completion"} & set(arguments)
            words = flags_first(arguments if completes else with_quotes(arguments, folders))
            sys.argv = ["xlearn" if completes else "xlearn train", *waiting(words)]
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")(job)()
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except JobFailed:
        print("error: not every job of the sweep succeeded; see error.txt in the folders of the failed ones.", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"{interrupted}; the same command resumes from there.", file=sys.stderr)
        return 128 + interrupted.signal
    except BrokenPipeError:  # stdout was closed, as by `head`: `xlearn.cli` handles it
        raise
    except OSError as error:
        reason = f"{error.filename or 'output'}: {error.strerror or error}"
        print(f"error: {reason}. Start in a writable folder, or set hydra.run.dir (hydra.sweep.dir).", file=sys.stderr)
        return 1
    return 1 if _failed else 0


def _source_is_default(overrides: Sequence[str]) -> bool:
    """Whether a command names its target and leaves the source to the default, which may be unrelated."""
    groups = {word.lstrip("+~").partition("=")[0].partition(".")[0] for word in overrides}
    return any(word.startswith("target=") for word in overrides) and not groups & {"source", "pretrain"}


def _announce(line: str) -> None:
    """What a run is about to do. To stderr: stdout has its result alone."""
    print(printable(line), file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """In a sweep the lines of many runs would hide each other."""


def job(config: DictConfig) -> None:
    """One job, in the folder that Hydra made for it."""
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    folder = Path(hydra_config.runtime.output_dir)
    try:
        # Errors in the overrides are written to `error.txt` in a sweep only; a single run prints them and removes its folder.
        with failures(folder, words=multirun):
            chosen = choices(hydra_config)
            check_choices(chosen)
            with sentences([]):
                content = {**complete(config), "choices": chosen}
            if not multirun and content["transfer"]["carry"] and _source_is_default(hydra_config.overrides.task):
                print(SOURCE_NOTE.format(" + ".join(content["source"])), file=sys.stderr)
            announce = _silent if multirun else _announce
            result, again = run(content, folder, multirun, _command[0], announce=announce)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        if is_written(problem, words=multirun) and not isinstance(problem, Unexpected):
            print(f"({shown(folder)}/{ERROR})", file=sys.stderr)
        if multirun:
            raise JobFailed(str(problem)) from problem
        _failed.append(str(problem))
        if isinstance(problem, Problems) and {each.name for each in folder.iterdir()} <= UNBEGUN:
            shutil.rmtree(folder)
    else:
        line = f"{title(result)}: {score(result)}{' (done before)' * again}"
        print(line if multirun else summary(result, shown(folder), again), flush=True)
