"""`xlearn check`: everything on two tiny batches, and all problems at once."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from xlearn.config.arguments import config_dirs
from xlearn.config.compose import complete, register, sentences
from xlearn.config.folders import conf_folder
from xlearn.errors import Problem, Problems
from xlearn.summary import title

STEPS = 2


def main(arguments: list[str]) -> int:
    """Compose, build and run in small, in a folder that goes away. Returns 0, or 1 after telling every problem."""
    folders = config_dirs(arguments)
    problems, config = composed(_overrides(arguments), folders)
    problems += _tried(config)
    if problems:
        print(f"{len(problems)} problem(s):", file=sys.stderr)
        for problem in problems:
            print(f"  - {problem}", file=sys.stderr)
        return 1
    print("everything works: configuration, data, networks, carrying over, every phase, the baseline and the metrics")
    return 0


def composed(overrides: list[str], folders: list[Path]) -> tuple[list[str], dict[str, Any]]:
    """(problems, composed configuration). An override that cannot be applied is told and left out, to find the others."""
    register(folders)
    problems: list[str] = []
    while True:
        try:
            return problems, _compose(overrides, folders)
        except Problem as problem:
            guilty = _guilty(overrides, folders)
            if not guilty:  # each works alone, together they do not
                return [*problems, str(problem)], _compose([], folders)
            problems += guilty.values()
            overrides = [each for each in overrides if each not in guilty]


def _guilty(overrides: list[str], folders: list[Path]) -> dict[str, str]:
    """The overrides that fail beside the choices of groups they may need, each with its sentence."""
    guilty: dict[str, str] = {}
    good: list[str] = []
    # Choices of groups come first: `augment.crop.padding=4` needs `augment=crop`.
    for override in sorted(overrides, key=lambda each: "." in each.partition("=")[0]):
        try:
            _compose([*good, override], folders)
            good.append(override)
        except Problem as problem:
            guilty[override] = str(problem)
    return guilty


def _compose(overrides: list[str], folders: list[Path]) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    search = [f"hydra.searchpath=[{','.join(f'file://{folder.resolve()}' for folder in folders)}]"] if folders else []
    with sentences(folders), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("train", overrides=[*overrides, *search], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        choices = {str(name): choice for name, choice in config.hydra.runtime.choices.items() if "hydra/" not in str(name)}
        return {**complete(config), "choices": choices}


def _tried(config: dict[str, Any]) -> list[str]:
    """Build everything and run it small; what goes wrong, in sentences."""
    from xlearn.cache import Cache
    from xlearn.machine import machine
    from xlearn.plan import build
    from xlearn.run import Run

    for chain in ("pretrain", "transfer", "baseline"):
        for phase in config[chain]["phases"].values():
            phase.update(steps=STEPS, epochs=None)
    config.update(evaluations=1, batch_size=min(2, config["batch_size"]))
    try:
        plan = build(config)
        place = machine(config["device"], config["precision"], config["threads"], multirun=False)
        with tempfile.TemporaryDirectory() as folder:
            print(title(Run(plan, place, Path(folder), Cache(Path(folder)), small=True)()))
    except Problems as problem:
        return list(problem.problems)
    except Problem as problem:
        return [str(problem)]
    except Exception as error:  # told like the others: the point of a check is that nothing surprises later
        return [f"unexpected {type(error).__name__}: {error}"]
    return []


def _overrides(arguments: list[str]) -> list[str]:
    found, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("-"):
            skip = argument in ("--config-dir", "-cd")
            continue
        found.append(argument)
    return found
