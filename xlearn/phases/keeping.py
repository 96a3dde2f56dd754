"""Which weights a phase keeps: those of its last step, or of the step that a validation split selects."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from xlearn.data.reads import Roles
from xlearn.data.task import Examples, Task
from xlearn.networks.network import Network, tensors
from xlearn.runtime.cache import Entry
from xlearn.runtime.machine import Machine


class Checkpoints:
    """The weights that a phase may return, while it trains. By default: those of its last step."""

    # Whether `look` scores the weights.
    scores = False

    def __init__(self, network: Network) -> None:
        self.network = network

    def look(self, step: int) -> dict[str, Any]:
        """Called at each evaluation; returns what is added to its record."""
        return {}

    def better(self, role: str, score: float, step: int) -> None:
        """Called when a judging role (or "all", their mean) has its best score so far, higher is better."""

    def kept(self, done: int) -> tuple[dict[str, Tensor], Any]:
        """The weights that the phase returns, and their step, or their steps by task."""
        return tensors(self.network), done

    def kept_by_name(self) -> dict[str, dict[str, Tensor]]:
        """Further weights to keep, by name."""
        return {}

    def report(self) -> dict[str, Any]:
        """Added to the report of the phase."""
        return {}

    def state(self) -> Any:
        """The state to save with the training: plain containers and tensors."""
        return {}

    def restore(self, saved: Any) -> None:
        """Continue from a saved state."""


class Best(Checkpoints):
    """The weights with the best score so far, of each judging role, or by their mean."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.best: dict[str, dict[str, Any]] = {}

    def better(self, role: str, score: float, step: int) -> None:
        self.best[role] = {"step": step, "weights": tensors(self.network)}

    def kept(self, done: int) -> tuple[dict[str, Tensor], Any]:
        # The target's best, if every task keeps its own.
        best = self.best.get("target") or next(iter(self.best.values()))
        steps = {role: each["step"] for role, each in self.best.items()}
        return best["weights"], steps if len(steps) > 1 else best["step"]

    def kept_by_name(self) -> dict[str, dict[str, Tensor]]:
        return {role: each["weights"] for role, each in self.best.items()} if len(self.best) > 1 else {}

    def state(self) -> Any:
        return self.best

    def restore(self, saved: Any) -> None:
        self.best = saved


class Keeping:
    """The rule by which a phase keeps weights: `last`, those of its last step."""

    # Whether scores select the weights.
    selects = False
    # Whether every task keeps the weights of its own best step.
    by_task = False
    # Whether the tasks that a phase reads are scored on their validation splits at each evaluation.
    scores_tasks = True

    def __init__(self, rule: str) -> None:
        self.rule = rule

    def judges(self, reads: Sequence[str], patience: int | None) -> tuple[str, ...]:
        """The views whose validation splits select the weights, or decide early stopping."""
        return tuple(reads) if patience is not None else ()

    def document(self) -> dict[str, Any]:
        """The part of the phase's cache key that the rule determines."""
        return {"keep": self.rule}

    def check(self, phase: str, read: Mapping[str, Task], target: Task, trains: bool) -> None:
        """Raise `Problem` if the rule lacks its data. `trains`: the phase has steps."""

    def examples(
        self, read: Mapping[str, Task], roles: Roles, modalities: Sequence[str] | None, seed: int
    ) -> dict[str, Examples]:
        """Further examples that are scored."""
        return {}

    def begin(
        self, network: Network, examples: Mapping[str, Examples], metric: str, seed: int, machine: Machine
    ) -> Checkpoints:
        """The checkpoints of a training."""
        return Checkpoints(network)

    def chosen(self, entry: Entry) -> tuple[dict[str, Tensor], str, Any]:
        """(the weights that a finished phase returns, their digest, their step)."""
        return entry.weights, entry.digest, entry.report["kept_step"]


class ByValidation(Keeping):
    """The weights with the best score on validation splits: of `best_source`, `best_target`, or by their mean over all tasks of
    the phase (`best_mean`), or of each task by itself (`best_each`).
    """

    selects = True

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.by_task = BY_VALIDATION[rule].by_task

    def judges(self, reads: Sequence[str], patience: int | None) -> tuple[str, ...]:
        return BY_VALIDATION[self.rule].views or tuple(reads)

    def begin(
        self, network: Network, examples: Mapping[str, Examples], metric: str, seed: int, machine: Machine
    ) -> Checkpoints:
        return Best(network)


class Judged(NamedTuple):
    """The views whose validation splits a rule scores (empty: those that the phase reads), and whether each task selects."""

    views: tuple[str, ...] = ()
    by_task: bool = False


BY_VALIDATION = {
    "best_source": Judged(("source",)),
    "best_target": Judged(("target",)),
    "best_mean": Judged(),
    "best_each": Judged(by_task=True),
}
