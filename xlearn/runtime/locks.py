"""Locks between processes. Who has to wait is told for whom, since when, and how to go on."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from xlearn.runtime.errors import Interrupted
from xlearn.runtime.interrupt import asked

# Seconds between two attempts to get a lock, in which a request to stop is noticed.
PATIENCE = 0.2


@contextmanager
def locked(file: Path, work: str) -> Iterator[bool]:
    """Only one process at a time runs the block. Gives whether this process had to wait.

    The kernel releases the lock when its process ends, however it ends. `work`: what the holder does, for the messages of the
    others (`computing phase c655760b2a14`). Raises `Interrupted` if a signal arrives while it waits.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock, beside = FileLock(file), file.with_name(f"{file.name}.holder")
    shown: set[str] = set()
    while not lock.is_locked:
        try:
            lock.acquire(timeout=PATIENCE if shown else 0)
        except Timeout:
            for line in holder(beside, work):
                if line not in shown:
                    print(line, flush=True)
                shown.add(line)
            if (number := asked()) is not None:
                raise Interrupted("stopped while waiting for another process", number) from None
    try:
        content = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S"), "work": work}
        beside.write_text(json.dumps(content), encoding="utf-8")
        yield bool(shown)
    finally:
        beside.unlink(missing_ok=True)
        lock.release()


def holder(beside: Path, work: str) -> list[str]:
    """Sentences about the process that holds a lock, from the file that it wrote beside the lock."""
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
        process, host, since, work = (content[name] for name in ("process", "host", "since", "work"))
    except (OSError, ValueError, KeyError, TypeError):  # not written yet
        return [f"waiting for another process, which is {work} ..."]
    told = [f"waiting for process {process}{'' if host == platform.node() else f' on {host}'}, {work} since {since} ..."]
    if host == platform.node() and is_stopped(process):
        told.append(f"process {process} is stopped: `kill -CONT {process}` lets it go on, `kill -KILL {process}` ends it.")
    return told


def is_alive(process: int) -> bool:
    """Whether there is a process of this number on this machine; on Windows, where a look would be a signal, always True."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def is_stopped(process: int) -> bool:
    """Whether a process was stopped by a signal or a debugger (Linux; False elsewhere)."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in ("T", "t")
    return False
