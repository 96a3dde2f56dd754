"""`xlearn check`: try a run on two tiny batches, and list all problems at once."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xlearn.commands.job import execute
from xlearn.commands.title import title
from xlearn.config.arguments import asks_help, config_dirs, refuse_flags, split
from xlearn.config.compose import choices, complete, register
from xlearn.config.compose import composed as compose
from xlearn.config.sentences import sentences
from xlearn.runtime.errors import Interrupted, Problem, sentences_of

HELP = """xlearn check [key=value ...]         try a run on two tiny batches, and list all problems
xlearn check --config-dir FOLDER ... with your own tasks and methods
Takes the overrides of `xlearn train`; writes nothing to outputs/."""


def main(arguments: list[str]) -> int:
    """Compose, build and run two steps per phase in a temporary folder. Returns 0, or 1 after printing every problem."""
    if asks_help(arguments):
        print(HELP)
        return 0
    try:
        refuse_flags(arguments, "check")
        problems, config, folder = composed(split(arguments)[1], config_dirs(arguments))
        problems += [*_tried(config), *_unwritable(folder)]
    except Problem as problem:
        problems = sentences_of(problem)
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return 128 + interrupted.signal
    if problems:
        problems = list(dict.fromkeys(problems))
        print(f"{len(problems)} problem(s):", file=sys.stderr)
        for each in problems:
            print(f"  - {each}", file=sys.stderr)
        return 1
    print("everything works: configuration, data, networks, copying of weights, every phase, the baseline and the metrics")
    return 0


def composed(overrides: list[str], folders: list[Path]) -> tuple[list[str], dict[str, Any], Path]:
    """(problems, composed configuration, the run's folder).

    An override that fails is reported and dropped, so that further problems are found.
    """
    register(folders)
    problems: list[str] = []
    while True:
        try:
            return problems, *_compose(overrides, folders)
        except Problem as problem:
            guilty = _guilty(overrides, folders)
            if not guilty:  # every override works by itself, their combination does not
                return [*problems, *sentences_of(problem)], *_compose([], folders)
            problems += [sentence for told in guilty.values() for sentence in told]
            overrides = [each for each in overrides if each not in guilty]


def _guilty(overrides: list[str], folders: list[Path]) -> dict[str, list[str]]:
    """The overrides that fail, each with its sentences. Each is tried together with those that succeeded before it."""
    guilty: dict[str, list[str]] = {}
    good: list[str] = []
    # Choices of groups come first: `augment.crop.padding=4` needs `augment=crop`.
    for override in sorted(overrides, key=lambda each: "." in each.partition("=")[0]):
        try:
            _compose([*good, override], folders)
            good.append(override)
        except Problem as problem:
            guilty[override] = sentences_of(problem)
    return guilty


def _compose(overrides: list[str], folders: list[Path]) -> tuple[dict[str, Any], Path]:
    config = compose(overrides, folders)
    with sentences(folders):
        return {**complete(config), "choices": choices(config.hydra)}, Path(config.hydra.run.dir)


def _tried(config: dict[str, Any]) -> list[str]:
    """Build everything and run two steps per phase; returns the problems as sentences."""
    from xlearn.plan.build import build, tasks
    from xlearn.runtime.cache import Cache
    from xlearn.runtime.machine import machine

    def place() -> Any:
        return machine(config["device"], config["precision"], config["threads"], multirun=False)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            print(title(execute(config, Path(folder), False, cache=Cache(Path(folder)), small=True)))

    problems = [*_problems(lambda: build(config)), *_problems(place), *_data(tasks(config), config)]
    return problems or _problems(run)


def _data(sources: list[Any], config: dict[str, Any]) -> list[str]:
    """Load and split every task; returns the problems as sentences."""
    from xlearn.data.formats import formats
    from xlearn.data.prepare import prepare
    from xlearn.data.task_source import raw, rows
    from xlearn.plan.build import encoders

    problems, loaded = [], []
    for source in sources:
        found = _problems(lambda source=source: raw(source))
        found = found or _problems(lambda source=source: rows(source, config["seed"]))
        problems += found
        loaded += [] if found else [source]
    # `build` reports an invalid size; null here, so that further problems are found.
    size, channels = (config["image"][key] for key in ("size", "channels"))
    image = {"size": size if size is None or size >= 1 else None, "channels": channels if channels in (1, 3) else None}

    def prepared() -> None:
        given = formats(loaded, {**config, "image": image}, encoders(config), config["seed"])
        for source in loaded:
            prepare(source, given, config["seed"])

    # `build` reports encoders that cannot be built.
    built = len(encoders(config)) == len(config["encoder"])
    return [*problems, *(_problems(prepared) if loaded and built else [])]


def _unwritable(folder: Path) -> list[str]:
    """A sentence if `xlearn train` could not write its folder, else an empty list."""
    folder = folder.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return []
    except OSError as error:
        reason = error.strerror or str(error)
        return [f"hydra.run.dir={folder}: {there} cannot be written ({reason}). Set hydra.run.dir to a writable folder."]


def _problems(step: Callable[[], Any]) -> list[str]:
    try:
        step()
    except Problem as problem:
        return sentences_of(problem)
    except Exception as error:  # reported like a `Problem`: a check lists every failure
        return [f"unexpected {type(error).__name__}: {error}"]
    return []
