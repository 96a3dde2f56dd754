"""Fingerprints of a finished run: its code, and the files that its configuration names."""

from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from xlearn.runtime.code import behind, code_digest
from xlearn.runtime.hashing import digest

# The modules where a run begins, in addition to its components.
RUN = ("xlearn.plan.build", "xlearn.pipeline")


def stamp(config: dict[str, Any]) -> str:
    """A digest of the code of the run, and of the size and time of every file or folder that its configuration names.

    Cheap and without imports: it decides whether a command has anything to compute.
    """
    found: list[Any] = [code_of(config)]
    for key in ("source", "target", "encoder", "teacher", "pretrain"):  # where files may be named
        for name, value in _strings(config.get(key) or {}):
            if name != "_target_" and Path(value).expanduser().exists():
                found += _path(Path(value).expanduser())
    return digest(found)


def code_of(config: dict[str, Any]) -> str:
    """The digest of all code that a run of this configuration executes."""
    return code_digest(*RUN, *behind(config))


def _strings(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _strings(value, str(key))
    elif isinstance(node, str):
        yield name, node


def _path(path: Path) -> list[tuple[str, int, int]]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def with_class(made: Any, document: Any) -> dict[str, Any]:
    """The document of an object for a key, with its class, whose code determines what is computed."""
    kind = type(made)
    return {"_target_": f"{kind.__module__}.{kind.__name__}", "class": kind.__qualname__, "arguments": document}


def described(value: Any) -> Any:
    """A value as plain containers, for a key: a component by its address and its arguments."""
    if isinstance(value, partial):
        # The configured address, because all functions that one factory makes have the same name.
        address = vars(value).get("address") or f"{value.func.__module__}.{value.func.__qualname__}"
        return {"_target_": address, "arguments": described(value.keywords)}
    if isinstance(value, dict):
        return {str(name): described(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [described(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)
