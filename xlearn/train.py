"""`xlearn train`: Hydra composes, a job runs. torch is imported only when something has to be trained."""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from xlearn.config.arguments import config_dirs, flags_first
from xlearn.config.compose import complete, register, sentences
from xlearn.config.folders import conf_folder
from xlearn.errors import Interrupted, Problem
from xlearn.hashing import code_digest
from xlearn.storage import write_text
from xlearn.summary import summary, title


class JobFailed(Exception):
    """A job's problem was told and written to its `error.txt`; the exit status has to say so too."""


# The problem of a single run. In a sweep, whose jobs may run in other processes, the exception says it instead.
_failed: list[str] = []


def main(arguments: list[str]) -> int:
    """Compose and run. Returns the exit status: 0, 1 after a problem, 128 + signal after an interruption."""
    # Hydra would print tracebacks of its own; with this it raises, and the sentences are ours.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _failed.clear()
    folders = config_dirs(arguments)
    register(folders)
    # The name in Hydra's help; in shell completion it is the command that the shell completes.
    sys.argv = ["xlearn" if {"-sc", "--shell-completion"} & set(arguments) else "xlearn train", *flags_first(arguments)]
    try:
        with sentences(folders):
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
    except OSError as error:
        told = f"{error.filename or 'output'}: {error.strerror or error}"
        print(f"error: {told}. Set hydra.run.dir (hydra.sweep.dir) to a folder that can be written.", file=sys.stderr)
        return 1
    return 1 if _failed else 0


def job(config: DictConfig) -> None:
    """One job, in the folder that Hydra made for it."""
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode == RunMode.MULTIRUN
    folder = Path(hydra_config.runtime.output_dir)
    choices = {str(name): choice for name, choice in hydra_config.runtime.choices.items() if not str(name).startswith("hydra/")}
    result, again = finished(folder), True
    try:
        if result is None or config.force:
            with sentences([]):
                content = {**complete(config), "choices": choices}
            result, again = execute(content, folder, multirun), False
    except Problem as problem:
        fail(f"{problem}\n", str(problem), folder, multirun)
        return
    except Exception as error:
        told = f"unexpected {type(error).__name__}: {error}\nThe traceback is in the file"
        fail(traceback.format_exc(), told, folder, multirun)
        return
    if again and result["code"] != code_digest():
        version = result["versions"]["xlearn"]
        print(f"note: an older result, of other code (xlearn {version}); force=true repeats it.", file=sys.stderr)
    if multirun:
        metric = result["config"]["metric"]
        value, gain = result["metrics"][metric], result["gain"][metric]
        print(f"{title(result)}: {metric} {value:.4f} ({gain:+.4f}){' (done before)' * again}", flush=True)
    else:
        print(summary(result, shown(folder), again))


def fail(content: str, told: str, folder: Path, multirun: bool) -> None:
    """Tell a problem, leave it in the job's folder, and see to the exit status."""
    write_text(folder / "error.txt", content)
    print(f"error: {told}\n({shown(folder)}/error.txt)", file=sys.stderr)
    if multirun:
        raise JobFailed(told)
    _failed.append(told)


def shown(folder: Path) -> Path:
    """The folder as a person would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def finished(folder: Path) -> dict[str, Any] | None:
    """The result in this folder, or None. It is written last, so that it is whole if it is there."""
    file = folder / "result.json"
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except ValueError:
        return None


def execute(config: dict[str, Any], folder: Path, multirun: bool) -> dict[str, Any]:
    """Build everything, then run it. What an earlier, failed attempt left as `error.txt` goes."""
    from xlearn.cache import Cache
    from xlearn.interrupt import listening
    from xlearn.machine import machine
    from xlearn.plan import build
    from xlearn.run import Run

    (folder / "error.txt").unlink(missing_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    with listening():
        plan = build(config)
        place = machine(config["device"], config["precision"], config["threads"], multirun)
        return Run(plan, place, folder, Cache())()
