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

from xlearn.config.compose import plain, register, sentences
from xlearn.config.folders import conf_folder, config_dirs
from xlearn.errors import Interrupted, Problem
from xlearn.storage import write_text
from xlearn.summary import summary, title


class JobFailed(Exception):
    """A job's problem was told and written to its `error.txt`; the exit status has to say so too."""


def main(arguments: list[str]) -> int:
    """Compose and run. Returns the exit status: 0, 1 after a problem, 128 + signal after an interruption."""
    # Hydra would print tracebacks of its own; with this it raises, and the sentences are ours.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    folders = config_dirs(arguments)
    register(folders)
    sys.argv = ["xlearn train", *arguments]
    try:
        with sentences(folders):
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")(job)()
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except JobFailed:
        return 1
    except Interrupted as interrupted:
        print(f"{interrupted}; the same command goes on from there.", file=sys.stderr)
        return 128 + interrupted.signal
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}. Set hydra.run.dir to a folder that can be written.", file=sys.stderr)
        return 1
    return 0


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
                content = {**{str(name): plain(config[name]) for name in config}, "choices": choices}
            result, again = execute(content, folder, multirun), False
    except Problem as problem:
        write_text(folder / "error.txt", f"{problem}\n")
        print(f"error: {problem}\n({shown(folder)}/error.txt)", file=sys.stderr)
        raise JobFailed from problem
    except Exception as error:
        write_text(folder / "error.txt", traceback.format_exc())
        print(f"error: unexpected {type(error).__name__}: {error}\nThe traceback is in {shown(folder)}/error.txt", file=sys.stderr)
        raise JobFailed from error
    if multirun:
        metric = result["config"]["metric"]
        print(f"{title(result)}: {metric} {result['metrics'][metric]:.4f} ({result['gain'][metric]:+.4f}){' (done before)' * again}", flush=True)
    else:
        print(summary(result, shown(folder), again))


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
