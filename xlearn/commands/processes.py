"""How the processes of workers are started."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_all_start_methods, get_context, resource_tracker
from typing import Any

# What a job imports, so that a worker which is forked from a process with these starts at once.
IMPORTED = ("xlearn.commands.imported",)


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes that are started here begin with one thread, and without SIGINT: Ctrl-C would end them while they import."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    masked = None
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # its start would end the mask
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@cache
def context() -> Any:
    """Processes forked from a server that has imported everything, where there is one; else new ones."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    made = get_context("forkserver")
    made.set_forkserver_preload([*IMPORTED])
    return made
