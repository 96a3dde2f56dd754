"""`result.json`: written in the present format, read in that of any version. Imports nothing heavy."""

import json
from pathlib import Path
from typing import Any

from xlearn.config.renamed import upgraded
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import write_text

RESULT = "result.json"
# 1 (a file that does not say): names of components and keys as before the rooms. 2: components by their modules in the rooms.
# 3: components by their public names, keys that are null left out of the digest.
FORMAT = 3


class LaterFormat(Problem):
    """The result is of a later version of xlearn, whose format this one does not know."""


def write_result(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result of a run, and return it as it was written."""
    content = {"format": FORMAT, **result}
    write_text(folder / RESULT, json.dumps(content, indent=1))
    return content


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result in `folder`, its configuration in the present names; None without one. `format` is that of the file.

    Raises `ValueError` for a file that is no JSON or no mapping, and `LaterFormat`.
    """
    file = folder / RESULT
    if not file.is_file():
        return None
    result = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(result, dict):
        raise ValueError("it holds no mapping")
    written = result.get("format", 1)
    if written not in range(1, FORMAT + 1):
        raise LaterFormat(f"{file} has format {written}, and this version of xlearn reads 1 to {FORMAT}. Update xlearn.")
    if written < FORMAT and "config" in result:
        result = {**result, "config": upgraded(result["config"])}
    return {**result, "format": written}
