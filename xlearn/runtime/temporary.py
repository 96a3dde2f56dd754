"""Temporary files and folders: named after their process, so that those of dead processes are recognised and deleted."""

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from xlearn.runtime.locks import is_alive

_NAME = re.compile(r"\.(?P<host>[^.]*)\.(?P<process>\d+)\.[^.]*$")


@contextmanager
def temporary_file(final: Path, folder: Path) -> Iterator[Path]:
    """A file that the block writes and renames to `final`. It lies in `folder`, or beside `final` if that is another disk."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_dev != final.parent.stat().st_dev:
        folder = final.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{final.name[-80:]}{_owner()}")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def temporary_folder(name: str, folder: Path) -> Iterator[Path]:
    """An empty folder in `folder`, which is deleted after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}{_owner()}") as made:
        yield Path(made)


def delete_dead(folder: Path) -> None:
    """Delete the temporary files and folders in `folder` whose process ran on this machine and exists no more."""
    for path in folder.glob(".*") if folder.is_dir() else ():
        match = _NAME.search(path.name)
        if match and match["host"] == _host() and not is_alive(int(match["process"])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):  # another user's
                    path.unlink(missing_ok=True)


@cache
def _host() -> str:
    """The machine, and on Linux the namespace in which its process numbers are valid: containers may share a name."""
    space = ""
    with suppress(OSError):
        space = "".join(each for each in os.readlink("/proc/self/ns/pid") if each.isdigit())
    return f"{platform.node()}-{space}".replace(".", "-")


def _owner() -> str:
    return f".{_host()}.{os.getpid()}."
