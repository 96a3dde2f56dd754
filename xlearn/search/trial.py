"""A trial: an ordinary run in its ordinary folder."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from xlearn.commands.train import execute, finished, shown
from xlearn.config.compose import choices, complete, composed, sentences
from xlearn.runtime.errors import Interrupted, Problem
from xlearn.runtime.storage import write_text


def run(overrides: Sequence[str], folders: list[Path]) -> tuple[dict[str, Any], Path]:
    """The result of a run in its ordinary folder, and that folder; not computed again where it is done. One that fails leaves
    `error.txt` there, and raises `Problem` whatever it was.
    """
    config = composed(overrides, folders)
    with sentences(folders):
        content = {**complete(config), "choices": choices(config.hydra)}
    folder = Path(config.hydra.run.dir).absolute()
    earlier = None if config.force else finished(folder, content)
    if earlier is not None:
        return earlier, folder
    folder.mkdir(parents=True, exist_ok=True)
    # For tables, which read a run that did not finish by what Hydra leaves.
    own = {name: value for name, value in content.items() if name != "choices"}
    write_text(folder / ".hydra" / "config.yaml", yaml.safe_dump(own, sort_keys=False))
    write_text(folder / ".hydra" / "hydra.yaml", yaml.safe_dump({"hydra": {"runtime": {"choices": content["choices"]}}}))
    try:
        return execute(content, folder, multirun=False), folder
    except Interrupted:
        raise
    except Problem as problem:
        write_text(folder / "error.txt", f"{problem}\n")
        raise
    except Exception as error:
        write_text(folder / "error.txt", traceback.format_exc())
        raise Problem(f"unexpected {type(error).__name__}: {error}. The traceback is in {shown(folder)}/error.txt.") from error
