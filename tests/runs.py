"""The toy experiment of the end-to-end tests, and what it leaves."""

import json
from pathlib import Path

TOY = ["source=blobs", "target=dim", "encoder/image=mlp", "encoder.image.widths=[16,8]", "threads=1", "budget=quick"]


def toy_folder(folder: Path) -> list[str]:
    """A folder of tasks from outside the package, and the words that use it."""
    tasks = folder / "own" / "task"
    tasks.mkdir(parents=True)
    (tasks / "blobs.yaml").write_text("# Bright squares\n_target_: toys.blobs\n")
    (tasks / "pairs.yaml").write_text("# Images and numbers\n_target_: toys.pairs\n")
    (tasks / "told.yaml").write_text("# Images and words\n_target_: toys.pairs\nside: words\n")
    (tasks / "numbers.yaml").write_text("# Numbers of the same classes\n_target_: toys.numbers\nseed: 9\n")
    (tasks / "words.yaml").write_text("# Texts of the same classes\n_target_: toys.words\nseed: 9\n")
    (tasks / "dim.yaml").write_text("# The same, on a brighter ground\n_target_: toys.blobs\nshift: 50.0\n")
    return ["--config-dir", str(folder / "own"), *TOY]


def results(folder=Path("outputs")):
    return {file.parent: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("result.json"))}


def only(folder=Path("outputs")):
    [(path, result)] = results(folder).items()
    return path, result
