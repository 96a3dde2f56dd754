"""Fingerprints of a finished run: its code, and the files that its configuration names."""

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from xlearn.runtime.addresses import module_file
from xlearn.runtime.hashing import MEASURING, code_digest, digest


def stamp(config: dict[str, Any]) -> str:
    """A digest of xlearn's code, the user's own modules, and size and time of every file or folder that is named.

    Cheap, and imports nothing: it decides whether a command has to do anything at all.
    """
    found: list[Any] = [code_digest(*MEASURING)]
    for name, value in _strings(config):
        if name == "_target_" and _own(value) and (file := module_file(value.rpartition(".")[0])):
            found.append(_file(file))
    for key in ("source", "target", "encoder", "teacher", "pretrain"):  # where files may be named
        for name, value in _strings(config.get(key) or {}):
            if name != "_target_" and Path(value).expanduser().exists():
                found += _path(Path(value).expanduser())
    return digest(found)


def _own(target: str) -> bool:
    return target.split(".")[0] not in ("xlearn", "torch")


def _strings(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _strings(value, str(key))
    elif isinstance(node, str):
        yield name, node


def _file(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()


def _path(path: Path) -> list[tuple[str, int, int]]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def described(value: Any) -> Any:
    """A value as plain containers, for a key: a component by its address, its arguments and the user's own code behind it."""
    if isinstance(value, partial):
        # As it was configured: two functions that one function made have the same name.
        address = vars(value).get("address") or f"{value.func.__module__}.{value.func.__qualname__}"
        return {"_target_": address, "code": own_code(value), "arguments": described(value.keywords)}
    if isinstance(value, dict):
        return {str(name): described(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [described(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


def own_code(each: partial[Any]) -> str | None:
    """A digest of the user's module behind a component; xlearn's own code is hashed as a whole, torch by its version."""
    module = inspect.getmodule(each.func)
    file = getattr(module, "__file__", None)  # Python's own modules have none
    if module is None or not file or not _own(module.__name__):
        return None
    return _file(Path(file))
