"""`result.json`: written in the current format, read in any format up to it. Imports nothing heavy."""

import json
from pathlib import Path
from typing import Any

from xlearn.config.upgraded import upgraded, upgraded_choices
from xlearn.results.plain import read_json
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import write_text

RESULT = "result.json"
# The names under which a run was asked for, if there are several.
NAMES = "names.json"
# 1 (no `format` in the file): names of components and keys before the packages were split. 2: components by module.
# 3: components by public name; keys that are null are left out of the digest. 4: views as a list, batches and measuring as
# components.
FORMAT = 5


class LaterFormat(Problem):
    """The result has the format of a later version of xlearn."""


def write_result(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result of a run, and return the written content."""
    content = {"format": FORMAT, **result}
    write_text(folder / RESULT, json.dumps(content, indent=1))
    return content


def add_names(folder: Path, *names: dict[str, Any]) -> None:
    """Note choices of options that lead to the run in `folder`. The file exists if there are several: options of a group that
    compose to the same configuration.
    """
    known = read_names(folder)
    found = [*known, *(each for number, each in enumerate(names) if each not in known and each not in names[:number])]
    if len(found) > max(1, len(known)):
        write_text(folder / NAMES, json.dumps(found, indent=1))


def read_names(folder: Path) -> list[dict[str, Any]]:
    """The noted choices of options that lead to the run in `folder`; empty if there is one."""
    file = folder / NAMES
    try:
        found = read_json(file) if file.is_file() else []
    except ValueError:  # damaged: the names of the result itself remain
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result in `folder`, with its configuration upgraded to the current names; None without one. `format` is the file's.

    Raises: `ValueError` for a file that is no JSON or no mapping; `LaterFormat`.
    """
    file = folder / RESULT
    if not file.is_file():
        return None
    result = read_json(file)
    if not isinstance(result, dict):
        raise ValueError("the file has no mapping")
    written = result.get("format", 1)
    if not isinstance(written, int) or isinstance(written, bool):
        raise ValueError(f"its format is {written!r}")
    if written not in range(1, FORMAT + 1):
        raise LaterFormat(f"{file} has format {written}, and this version of xlearn reads 1 to {FORMAT}. Update xlearn.")
    if written < FORMAT and "config" in result:
        chosen = {"choices": upgraded_choices(result["choices"])} if "choices" in result else {}
        result = {**result, "config": upgraded(result["config"]), **chosen}
    return {**result, "format": written}
