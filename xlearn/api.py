"""xlearn from Python: runs and their results, and the steps of a run as functions."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlearn.runtime.errors import Problem

if TYPE_CHECKING:
    import pandas
    import torch

    from xlearn.data.task import Task
    from xlearn.networks.network import Network

Folders = Sequence[str | Path]


@dataclass(frozen=True)
class Result:
    """A finished run. `content`: the `result.json` in `folder`; names of earlier versions are replaced by present ones."""

    folder: Path
    content: dict[str, Any] = field(repr=False)

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics on the target's test split: `accuracy`, `macro_f1`, ..., of few classes `per_class`, `confusion_matrix`."""
        return self.content["metrics"]

    @property
    def gain(self) -> dict[str, float]:
        """By metric, result minus baseline, with the sign that makes a positive gain an improvement."""
        return self.content["gain"]

    @property
    def bounds(self) -> dict[str, dict[str, Any]]:
        """The metrics of the references: `baseline`, and if labels are hidden `source_only` and `target_only`."""
        others = {name: each["metrics"] for name, each in self.content.get("bounds", {}).items()}
        return {"baseline": self.content["baseline"]["metrics"], **others}

    @property
    def config(self) -> dict[str, Any]:
        return self.content["config"]

    def network(self) -> "Network":
        """The trained network, on the CPU and in evaluation mode.

        It is built from the configuration and may read the run's data again. Raises `Problem` if the weights are missing, or
        do not fit the network that the configuration builds now.
        """
        from xlearn.results.network import rebuilt

        return rebuilt(self.content, self.folder)

    def __str__(self) -> str:
        """The summary that `xlearn train` prints."""
        from xlearn.commands.summary import summary

        return summary(self.content, self.folder)


def run(*overrides: str, config_dirs: Folders = ()) -> Result:
    """`xlearn train` with these overrides, e.g. `run("source=mnist5k", "target.shots=5")`, in the folder of the command.

    A finished run is read, not repeated. Raises `Problem` with the message that the command would print.
    """
    from xlearn.commands.single import run as run_words
    from xlearn.config.compose import register

    folders = _folders(config_dirs)
    register(folders)
    content, folder = run_words(_words(overrides), folders)
    return Result(folder, content)


def read(folder: str | Path) -> Result:
    """The result in a run's folder. Raises `Problem` if there is none."""
    from xlearn.results.files import RESULT, read_result
    from xlearn.results.plain import need_run

    place = Path(folder).expanduser()
    try:
        content = read_result(place)
    except ValueError as error:
        raise Problem(f"{place / RESULT} cannot be read ({error}). Repeat the run.") from error
    if content is None:
        below = sorted(place.rglob(RESULT))[:3] if place.is_dir() else []
        fix = f"There is {', '.join(str(each.parent) for each in below)}." if below else "Name the folder of a finished run."
        raise Problem(f"{place} holds no {RESULT}. {fix}")
    need_run(content, place / RESULT)
    return Result(place.absolute(), content)


def records(*folders: "str | Path | Sequence[str | Path]") -> "pandas.DataFrame":
    """A row for each run in and below the folders, finished or not (`failure` says why not).

    Columns: `folder`; `seed`; the choice in every group; every other key in which the runs differ; `metrics.*`, `baseline.*`,
    `gain.*` and `bounds.NAME.*` by metric, `gap_closed.*` if there are bounds; `seconds`; `failure`.
    """
    from xlearn.table.frame import frame

    named = [each for given in folders for each in ([given] if isinstance(given, str | Path) else given)]
    if not named:
        raise Problem("records: name a folder, e.g. records('outputs').")
    return frame([Path(each).expanduser() for each in named])


def show(*words: str, config_dirs: Folders = ()) -> None:
    """Print what can be chosen, as `xlearn show`: every group, one (`show("transfer")`), an option (`show("transfer=kd")`)."""
    from xlearn.commands.show import shown

    print(shown(words, _folders(config_dirs)))


def load_task(name: str, *overrides: str, seed: int = 0, config_dirs: Folders = (), **options: Any) -> "Task":
    """The task of a run with `target=name` and this seed: loaded, preprocessed for the run's encoders, and split.

    `options` are those of the task (`shots=5`, `classes=["0", "1"]`; `xlearn show target=NAME` lists them); `overrides` set
    other keys, e.g. `"image.size=16"` or `"encoder/text=minilm"`. Image size and vocabulary come from this task only; in a run
    from its sources too. Raises `Problem` as the command would.
    """
    from xlearn.commands.single import content_of
    from xlearn.config.compose import register
    from xlearn.data.formats import formats
    from xlearn.data.prepare import prepare
    from xlearn.plan.build import build

    folders = _folders(config_dirs)
    register(folders)
    if again := [word for word in overrides if str(word).partition("=")[0] in ("target", "seed")]:
        raise Problem(f"load_task: {again[0]}: pass the name and the seed as arguments, not as overrides.")
    given = [f"target.{key}={_written(value)}" for key, value in options.items()]
    content, _ = content_of([f"target={name}", f"seed={_written(seed)}", *given, *_words(overrides)], folders)
    components = build(content)
    forms = formats([components.target], content, components.encoders, content["seed"])
    return prepare(components.target, forms, content["seed"])


def fit(
    network: "Network",
    task: "Task | Mapping[str, Task]",
    *,
    steps: int,
    objective: Callable[..., Any] | None = None,
    optimizer: Callable[..., "torch.optim.Optimizer"] | None = None,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "auto",
) -> list[dict[str, float]]:
    """Train every parameter of a network that requires a gradient, in place, with the training loop of the phases.

    Returns the losses of each step by name.

    `task`: one, or several by role (`{"source": ..., "target": ...}`), each in every step. `objective`: a function
    `(network, batches by role) -> {name: loss}`, a supervised class of `xlearn.objectives`, or a partial of either; the
    default is cross-entropy. `optimizer`: called with groups of parameters; the default is
    `partial(torch.optim.Adam, lr=1e-3)`. The final weights are kept, nothing is selected; statistics of batch normalisation
    are those of these weights, as at the end of a phase. `xlearn.phases.fit.fit` yields a record after each step, to stop or
    to save.

    Raises `Problem` for an objective that needs more than labelled examples (views, unlabelled examples, teachers, pairs,
    episodes): these are phases of a run, e.g. `run("transfer=dann")`.
    """
    from xlearn.phases.by_hand import trained

    tasks = dict(task) if isinstance(task, Mapping) else {"target": task}
    return trained(network, tasks, steps, objective, optimizer, batch_size, seed, device)


def evaluate(
    network: "Network | Sequence[Network]", task: "Task", *, split: str = "val", device: str = "auto"
) -> "dict[str, Any] | list[dict[str, Any]]":
    """The metrics of a network on a split of the task (`train`, `val`, `test`), as in `Result.metrics`; for several a list.

    The test split opens once: choose everything on `val`, then pass all networks to compare in one call.
    Raises `Problem` for an empty split, and if the test split was opened before.
    """
    from torch import nn

    from xlearn.phases.by_hand import measured

    if isinstance(network, nn.Module):
        return measured([network], task, split, device)[0]
    return measured([*network], task, split, device)


def _folders(named: Folders) -> list[Path]:
    from xlearn.config.arguments import config_dir

    return [config_dir("config_dirs", str(each)) for each in ([named] if isinstance(named, str | Path) else named)]


def _words(overrides: Sequence[str]) -> list[str]:
    if wrong := [word for word in overrides if not isinstance(word, str) or not ("=" in word or word.startswith("~"))]:
        raise Problem(f"{wrong[0]!r} is no override such as 'target.shots=5'.")
    return [*overrides]


def _written(value: Any) -> str:
    """A value in the grammar of overrides, which has no quotes around the keys of mappings."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_written(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    value = value.item() if hasattr(value, "item") else value  # a number of numpy's or torch's
    return json.dumps(value, default=str, ensure_ascii=False)
