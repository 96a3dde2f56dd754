"""`xlearn train`: Hydra composes, a job runs. torch is imported only when something has to be trained."""

import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from xlearn.commands.summary import summary, title
from xlearn.config.arguments import config_dirs, flags_first
from xlearn.config.compose import check_choices, choices, complete, register, sentences, waiting
from xlearn.config.folders import conf_folder
from xlearn.config.schema import NOT_IDENTITY
from xlearn.runtime.errors import Interrupted, Problem, Problems
from xlearn.runtime.fingerprints import stamp
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import write_text


class JobFailed(Exception):
    """A job's problem was told and written to its `error.txt`; the exit status has to say so too."""


class Taken(Problem):
    """The folder holds the result of another run: nothing may be written there."""


# The problem of a single run. In a sweep, whose jobs may run in other processes, the exception says it instead.
_failed: list[str] = []
# The keys of phases that this command computed again under `force`.
_recomputed: set[str] = set()


def main(arguments: list[str]) -> int:
    """Compose and run. Returns the exit status: 0, 1 after a problem, 128 + signal after an interruption."""
    # Hydra would print tracebacks of its own; with this it raises, and the sentences are ours.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _failed.clear()
    _recomputed.clear()
    # The name in Hydra's help; in shell completion it is the command that the shell completes.
    sys.argv = [
        "xlearn" if {"-sc", "--shell-completion"} & set(arguments) else "xlearn train",
        *waiting(flags_first(arguments)),
    ]
    try:
        folders = config_dirs(arguments)
        with sentences(folders):
            register(folders)
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")(job)()
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except JobFailed:
        print("error: not every job of the sweep succeeded; see error.txt in the folders of the others.", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from there.", file=sys.stderr)
        return 128 + interrupted.signal
    except BrokenPipeError:  # the reader of our output went away; the command line sees to it
        raise
    except OSError as error:
        told = f"{error.filename or 'output'}: {error.strerror or error}"
        print(f"error: {told}. Start in a folder that can be written, or set hydra.run.dir (hydra.sweep.dir).", file=sys.stderr)
        return 1
    return 1 if _failed else 0


def job(config: DictConfig) -> None:
    """One job, in the folder that Hydra made for it."""
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    folder = Path(hydra_config.runtime.output_dir)
    try:
        chosen = choices(hydra_config)
        check_choices(chosen)
        with sentences([]):
            content = {**complete(config), "choices": chosen}
        earlier = finished(folder, content)
        again = earlier is not None and not config.force
        result = earlier if earlier is not None and again else execute(content, folder, multirun)
    except Taken as problem:
        fail(None, str(problem), folder, multirun)
    except Problems as problem:
        # Wrong words: nothing was begun. A sweep keeps the place of the job; a slip of the hand needs none.
        fail(f"{problem}\n" if multirun else None, str(problem), folder, multirun)
        if not multirun and not any(file.is_file() for file in folder.iterdir()):
            shutil.rmtree(folder)
    except Problem as problem:
        fail(f"{problem}\n", str(problem), folder, multirun)
    except Exception as error:
        told = f"unexpected {type(error).__name__}: {error}\nThe traceback is in the file"
        fail(traceback.format_exc(), told, folder, multirun)
    else:
        metric = result["config"]["metric"]
        value, gain = result["metrics"][metric], result["gain"][metric]
        line = f"{title(result)}: {metric} {value:.4f} ({gain:+.4f}){' (done before)' * again}"
        print(line if multirun else summary(result, shown(folder), again), flush=True)


def fail(content: str | None, told: str, folder: Path, multirun: bool) -> None:
    """Tell a problem, leave `content` in the job's folder, and see to the exit status."""
    print(f"error: {told}", file=sys.stderr)
    if content is not None:
        write_text(folder / "error.txt", content)
        print(f"({shown(folder)}/error.txt)", file=sys.stderr)
    if multirun:
        raise JobFailed(told)
    _failed.append(told)


def shown(folder: Path) -> Path:
    """The folder as a person would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def finished(folder: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    """The result in this folder, or None if there is none, or one of other code or other files.

    `result.json` is written last, so that it is whole if it is there. Raises `Taken` for another configuration's.
    """
    file = folder / "result.json"
    try:
        result = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except ValueError:
        return None
    if result is None:
        return None
    if digest(_identity(result["config"])) != digest(_identity(config)):
        raise Taken(f"{shown(folder)} holds the result of another configuration. Choose another folder, or delete it.")
    if result["stamp"] != stamp(config):
        print(f"note: {shown(folder)} is of other code or other files; it is computed again.", file=sys.stderr)
        return None
    return result


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in (*NOT_IDENTITY, "choices")}


def execute(config: dict[str, Any], folder: Path, multirun: bool) -> dict[str, Any]:
    """Build everything, then run it. An earlier result stays until there is a new one; then an `error.txt` goes."""
    from xlearn.pipeline import Run
    from xlearn.plan.build import build
    from xlearn.runtime.cache import Cache
    from xlearn.runtime.interrupt import listening
    from xlearn.runtime.machine import machine

    with listening():
        components = build(config)
        place = machine(config["device"], config["precision"], config["threads"], multirun)
        result = Run(components, place, folder, Cache(), _recomputed)()
    (folder / "error.txt").unlink(missing_ok=True)
    return result
