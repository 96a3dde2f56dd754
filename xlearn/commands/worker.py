"""One job of a sweep, in this process; and a process that works on one job after the other."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import TextIOBase
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple

from xlearn.commands.job import ERROR, LOG, Unexpected, failures, is_written, run, shown
from xlearn.commands.jobs import Job
from xlearn.commands.single import write_configuration
from xlearn.commands.title import score, title
from xlearn.results.files import add_names
from xlearn.runtime import progress
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.interrupt import ask, asked, listening

# Seconds that a worker without parent has to save its state.
ORPHAN_SECONDS = 20

Kind = Literal["done", "cached", "failed", "interrupted"]


class Order(NamedTuple):
    """What a worker is asked to do. `command`: the command's id; `later`: the parts of data that later jobs read."""

    job: Job
    command: str
    device: str | None
    later: frozenset[str]


class Outcome(NamedTuple):
    """The end of a job, with a line that tells it."""

    kind: Kind
    line: str
    seconds: float = 0.0
    signal: int = 0


def work(order: Order) -> Outcome:
    """Run a job. Whatever goes wrong is an outcome, and stands in the job's `error.txt`."""
    job, began = order.job, time.monotonic()
    content = {**job.content, "device": order.device} if order.device else job.content
    try:
        with failures(job.folder, words=True):
            add_names(job.folder, *(each.content["choices"] for each in job.every()))
            write_configuration(content, job.folder)
            result, again = run(content, job.folder, multirun=True, command=order.command, later=order.later)
    except Problem as problem:
        return Outcome("failed", failed(job, problem), time.monotonic() - began)
    except Interrupted as interrupted:
        return Outcome("interrupted", str(interrupted), time.monotonic() - began, interrupted.signal)
    return Outcome("cached" if again else "done", told(result), time.monotonic() - began)


def told(result: Mapping[str, Any]) -> str:
    """A finished run in one line."""
    return f"{title(dict(result))}: {score(result)}"


def failed(job: Job, problem: Problem) -> str:
    written = is_written(problem, words=True) and not isinstance(problem, Unexpected)
    place = f" ({shown(job.folder)}/{ERROR})" if written else ""
    return f"{job.name}: {problem}{place}"


class _Both(TextIOBase):
    """What is printed goes to the terminal and into the log of the job."""

    def __init__(self, terminal: Any, log: Any) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        self.log.write(text)
        return self.terminal.write(text)

    def flush(self) -> None:
        self.log.flush()
        self.terminal.flush()


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """What the block prints also goes into the job's log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        redirect_stdout(_Both(sys.stdout, log)),
        redirect_stderr(_Both(sys.stderr, log)),
    ):
        yield


def serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """The life of a worker: jobs from the pipe, outcomes and progress back, until the pipe is closed.

    Ctrl-C in a terminal reaches every process: the worker ignores it and waits for its parent's word. A number in the pipe is a
    signal that asks to stop after the step. SIGTERM to the worker alone does so too; it then ends.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: SimpleQueue[Order | None] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                received = pipe.recv()
                if isinstance(received, int):
                    ask(received)
                else:
                    orders.put(received)
        except (EOFError, OSError):  # the parent is gone, or has nothing more to do
            ask(signal.SIGTERM)
            orders.put(None)
            time.sleep(ORPHAN_SECONDS)
            os._exit(1)

    with listening((signal.SIGTERM,)):
        threading.Thread(target=listen, daemon=True).start()
        progress.send_to(partial(_send, pipe))
        stopped = False
        while not stopped and (order := _next(orders)) is not None:
            try:
                _log_to(order.job.folder)
                outcome = work(order)
            except OSError as error:  # a folder that cannot be written, a full disk
                reason = f"{error.filename or order.job.folder}: {error.strerror or error}"
                outcome = Outcome("failed", f"{order.job.name}: {reason}")
            if outcome.kind == "failed":
                print(f"error: {outcome.line}", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            stopped = outcome.kind == "interrupted"
            _send(pipe, outcome)


def _log_to(folder: Path) -> None:
    """What this process and its libraries print goes into the log of a job from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _next(orders: SimpleQueue[Order | None]) -> Order | None:
    """The next order; None if there is none, or this process has to stop."""
    while asked() is None:
        with suppress(Empty):
            return orders.get(timeout=0.5)
    return None


def _send(pipe: Connection, message: object) -> None:
    with suppress(OSError):  # the parent is gone: `serve` notices, and the state is saved at the next step
        pipe.send(message)
