"""`xlearn train -m`: all jobs of a sweep, on every core."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from xlearn.commands.jobs import Job, jobs
from xlearn.commands.progress import Progress
from xlearn.commands.worker import Outcome
from xlearn.commands.workers import Sweep
from xlearn.config.arguments import CONFIG_DIR, config_dirs, split
from xlearn.config.compose import register
from xlearn.runtime.errors import Problem
from xlearn.runtime.interrupt import asked, listening

# With these Hydra runs the sweep: its launchers for clusters, other sweepers.
OF_HYDRA = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper")
MULTIRUN = ("--multirun", "-m")
# Where Linux lists the GPUs: without it torch is not imported to count them.
GPUS = Path("/proc/driver/nvidia/gpus")


def is_sweep(words: Sequence[str]) -> bool:
    """Whether a command is a sweep that needs no launcher or sweeper of Hydra's, and no other flag (`--cfg`, `--help`)."""
    flags, overrides = split(words)
    names = {flag.name for flag in flags}
    return (
        bool(names & {*MULTIRUN})
        and names <= {*MULTIRUN, *CONFIG_DIR}
        and not any(word.lstrip("+~").startswith(OF_HYDRA) for word in overrides)
    )


def sweep(words: Sequence[str], finish: Callable[[list[Job]], None] | None = None) -> int:
    """Run the jobs of a command. `finish` is called with them at the end. Returns the exit status: 0, 1 if a job failed,
    128 + signal after an interruption. Raises `Problem` if one of them cannot be composed, before any begins.
    """
    folders = config_dirs(words)
    register(folders)
    found = jobs(split(words)[1], folders)
    status = run_jobs(found)
    if finish is not None and status < 128:
        finish(found)
    return status


def run_jobs(found: list[Job]) -> int:
    """Run jobs that are all known. Prints their progress; returns the exit status."""
    fresh = [found]
    return run_more(lambda: fresh.pop() if fresh else [], found, len(found), lambda job, outcome: None)


def run_more(
    more: Callable[[], Iterable[Job]], first: Sequence[Job], total: int, ended: Callable[[Job, Outcome], None],
    shows_results: bool = True,
) -> int:  # fmt: skip
    """Run jobs that may depend on the outcomes of earlier ones (see `Sweep.more`). `first`: jobs with the settings of the
    sweep; `total`: the number of all; `ended` is called with each job and its outcome; `shows_results`: whether test metrics
    are printed.
    """
    devices, count = places(first, total)
    progress = Progress(total, shows_results)
    made = Sweep(more, count, devices, uuid4().hex, progress.watch)
    with listening():
        try:
            for job, outcome in made.outcomes():
                progress.add(job, outcome, made)
                ended(job, outcome)
        finally:
            progress.close()
        number = asked()
    print(progress.summary(), flush=True)
    if number is not None and progress.left():
        print("stopped; the same command resumes from there.", file=sys.stderr)
        return 128 + number
    if progress.ended["failed"]:
        print("error: not every job of the sweep succeeded; see error.txt in the folders of the failed ones.", file=sys.stderr)
        return 1
    return 0


def places(found: Sequence[Job], total: int) -> tuple[list[str | None], int]:
    """(the devices of the workers, in turns; the number of workers). A device of None is that of the job's configuration.

    `workers` null: one for each of `devices`, else one for each GPU that the jobs may use, else the cores divided by the
    threads of a job. Never more than there are jobs.
    """
    settings = found[0].content
    workers, devices = settings["workers"], settings["devices"]
    if workers is not None and workers < 1:
        raise Problem(f"workers={workers}: give 1 or more, or null for as many as the machine has cores.")
    if devices is not None and not devices:
        raise Problem("devices=[]: name at least one, as in devices=[cuda:0,cuda:1], or give null.")
    if devices is None and settings["device"] in ("auto", "cuda") and (gpus := _gpus()):
        devices = [f"cuda:{number}" for number in range(gpus)]
    if devices is None and settings["device"] not in ("auto", "cpu"):
        workers = workers or 1  # one device, named by the configuration
    if workers is None:
        workers = len(devices) if devices else max(1, _cores() // (settings["threads"] or 1))
    return [*(devices or [None])], max(1, min(workers, total))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> int:
    if not GPUS.is_dir():
        return 0
    import torch

    return torch.cuda.device_count()
