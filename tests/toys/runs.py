"""The toy experiment of the end-to-end tests, runs of it, and what they leave."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from xlearn.commands.job import execute
from xlearn.config.compose import choices, complete, composed, register
from xlearn.data.tasks import _fsdd as fsdd
from xlearn.runtime.storage import data_folders

# In one process: what a test patches must be patched in the runs.
SINGLE = ["threads=1", "workers=1"]
TOY = ["source=blobs", "target=dim", "encoder/image=mlp", "encoder.image.widths=[16,8]", *SINGLE, "budget=quick"]
TASKS = {
    "blobs": "# Bright squares\n_target_: toys.tasks.blobs\n",
    "pairs": "# Images and numbers\n_target_: toys.tasks.pairs\n",
    "told": "# Images and words\n_target_: toys.tasks.pairs\nside: words\n",
    "numbers": "# Numbers of the same classes\n_target_: toys.tasks.numbers\nseed: 9\n",
    "words": "# Texts of the same classes\n_target_: toys.tasks.words\nseed: 9\n",
    "dim": "# The same, on a brighter ground\n_target_: toys.tasks.blobs\nshift: 50.0\n",
}
SIGNS = {
    "signs": "# Drawings\n_target_: toys.tasks.signs\nseed: 0\n",
    "others": "# Drawings\n_target_: toys.tasks.signs\nseed: 1\n",
}
HERE = any((folder / fsdd.FILE).is_file() for folder in data_folders())
needs_digits = pytest.mark.skipif(not HERE, reason=f"{fsdd.FILE} is not in $XLEARN_DATA")


def tasks_in(folder: Path, **tasks: str) -> list[str]:
    """Tasks from outside the package, and the words that make them known."""
    (folder / "task").mkdir(parents=True, exist_ok=True)
    for name, content in tasks.items():
        (folder / "task" / f"{name}.yaml").write_text(content, encoding="utf-8")
    return ["--config-dir", str(folder)]


def toy_folder(folder: Path) -> list[str]:
    """A folder of tasks from outside the package, and the words that use it."""
    return [*tasks_in(folder / "own", **TASKS), *TOY]


def everything_words(folder: Path, source: list[str], target: list[str]) -> list[str]:
    """The words of an experiment from one set of modalities to another."""
    return [
        *tasks_in(folder / "everything", everything="# All modalities\n_target_: toys.tasks.everything\n"),
        "source=everything", "target=everything",
        f"source.everything.modalities=[{','.join(source)}]", f"target.modalities=[{','.join(target)}]",
        "encoder/image=mlp", "encoder.image.widths=[16,8]", "budget=quick", *SINGLE,
    ]  # fmt: skip


def environment(cache: Path) -> dict[str, str]:
    """That of a process which finds the toys and has a cache of its own."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "XLEARN_CACHE": str(cache)}


def results(folder: Path = Path("outputs")) -> dict[Path, dict[str, Any]]:
    return {file.parent: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("result.json"))}


def only(folder: Path = Path("outputs")) -> tuple[Path, dict[str, Any]]:
    [(path, result)] = results(folder).items()
    return path, result


class Runs:
    """Runs of one folder, without Hydra's: composed once for the same words, and changed in some values."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder, self.toy, self.words, self.composed = folder, toy_folder(folder), words, {}
        register([Path(self.toy[1])])

    def __call__(self, *words: str, keep: str | None = None, **target: Any) -> tuple[Path, dict[str, Any]]:
        """(the folder of the run, its result). `keep`: of the transfer's phases; `target`: options of the target."""
        if words not in self.composed:
            config = composed([*self.toy[2:], *self.words, *words], [Path(self.toy[1])])
            self.composed[words] = {**complete(config), "choices": choices(config.hydra)}
        config = copy.deepcopy(self.composed[words])
        config["target"] |= target
        for node in config["transfer"]["phases"].values() if keep else ():
            node["keep"] = keep
        path = self.folder / f"run{len(list(self.folder.glob('run*')))}"
        path.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(self.folder)
            patched.setenv("XLEARN_CACHE", str(self.folder / "cache"))
            return path, execute(config, path, False)


def sign_runs(folder: Path, words: list[str]) -> Runs:
    """Runs that have signs, and others to be measured on."""
    made = Runs(folder, words)
    tasks_in(folder / "own", **SIGNS)
    register([folder / "own"])
    return made
