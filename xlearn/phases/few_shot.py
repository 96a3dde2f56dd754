"""Few-shot evaluation: many tasks of few examples, each learned from the same weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data.episodes import Episodes, Kind, classes_apart, need_enough, predicts_numbers
from xlearn.data.task import Examples, Sealed, Task
from xlearn.metrics.measure import measure, score
from xlearn.networks.network import Network, tensors
from xlearn.phases.phase import Phase
from xlearn.runtime.cache import recent, weights_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive, digest
from xlearn.runtime.machine import Machine, place
from xlearn.runtime.names import HIGHER_IS_BETTER
from xlearn.runtime.randomness import random_state, set_random_state

# So many tasks at a time.
TOGETHER = 10
# Two-sided 95 % of the normal distribution: there are hundreds of tasks.
NORMAL = 1.96


@dataclass(frozen=True)
class Predicted:
    """`logits float [moments, episodes, queries, outputs]`, `labels [episodes, queries]` (numbers: `[episodes, queries,
    1]`)."""

    logits: Tensor
    labels: Tensor


# What baselines predicted, for the next run of a sweep.
HELD = 128
_held: dict[str, Predicted] = {}


def predicted(
    network: Network, learner: Any, episodes: Episodes, count: int, machine: Machine, every: bool = True
) -> Predicted:
    """What the learner makes of the first `count` episodes, at `every` moment of its descent or at its end. Nothing of the
    network changes, and nothing is drawn from torch's global generator.
    """
    place(network, machine)
    modes, state = [(module, module.training) for module in network.modules()], random_state()
    network.eval()
    logits, labels = [], []
    try:
        # cuDNN has no gradients of recurrent layers that evaluate.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
            for first in range(0, count, TOGETHER):
                numbers = range(first, min(first + TOGETHER, count))
                given = episodes.some(numbers)
                torch.manual_seed(derive(0, "few shot", first))
                found = learner.curve(network, given["support"], given["query"], len(numbers), every)
                logits.append(found.float().cpu())
                labels.append(given["query"].labels.unflatten(0, (len(numbers), -1)).cpu())
    finally:
        set_random_state(state)
        for module, training in modes:
            module.training = training
    return Predicted(torch.cat(logits, 1), torch.cat(labels))


def once(network: Network, learner: Any, episodes: Episodes, count: int, machine: Machine, described: Any) -> Predicted:
    """`predicted` at the end, taken over where the same network had the same episodes before: baselines are measured by every
    run of a sweep. `described` says what the learner and the episodes are.
    """
    key = digest([weights_digest(tensors(network)), network.document, described, count, machine.signature()], 20)
    return recent(_held, key, lambda: predicted(network, learner, episodes, count, machine, every=False), HELD)


def scores(found: Predicted, metric: str, moment: int = -1) -> Tensor:
    """`float64 [episodes]`: the metric of each task."""
    logits = found.logits[moment]
    if metric == "mse":
        return (logits - found.labels).double().square().mean((1, 2))
    if metric == "accuracy":
        return (logits.argmax(2) == found.labels).double().mean(1)
    each = [score(metric, given, labels) for given, labels in zip(logits, found.labels, strict=True)]
    return torch.tensor(each, dtype=torch.float64)


def metrics(found: Predicted, classes: tuple[str, ...]) -> dict[str, Any]:
    """Over the queries of all tasks, which have equally many each: so means over tasks too. `mse` where they are numbers."""
    if found.labels.is_floating_point():
        return {"mse": float(scores(found, "mse").mean())}
    return measure(found.logits[-1].flatten(0, 1), found.labels.flatten(), classes)


def interval(values: Tensor) -> float:
    """Half of the 95 % interval of the mean over tasks, `1.96 s / sqrt(n)`."""
    return float(NORMAL * values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")


def summary(found: Predicted, metric: str) -> dict[str, Any]:
    """For the result: the metric's mean over tasks and half of its interval, at the end and after every inner step."""
    moments = [scores(found, metric, moment) for moment in range(len(found.logits))]
    curve = {"step": [*range(len(moments))], metric: [float(each.mean()) for each in moments]}
    curve["interval"] = [interval(each) for each in moments]
    return {"count": found.logits.shape[1], "metric": metric, "interval": curve["interval"][-1], "curve": curve}


def target_episodes(task: Task) -> Task:
    """The task with all its examples in the place of its test split: its classes are measured on, by tasks that each learn from
    a few examples and predict others. Nothing else may learn from any of them: all other splits are empty.
    """
    parts = (task.train, task.val, task.unlabeled, task.test.examples)
    whole = task.unlabeled.whole or task.unlabeled
    every = whole.subset(torch.cat([part.rows for part in parts]).sort().values)
    none = whole.subset(every.rows[:0])
    notes = {**task.notes, "examples": {"train": 0, "val": 0, "test": len(every), "unlabeled": 0}}
    return replace(task, train=none, val=none, unlabeled=none, training=none.rows, test=Sealed(task.name, every), notes=notes)


def need_metric(metric: str, task: Task) -> None:
    """Raises `Problem` where the run's metric is of classes, and the task predicts numbers, or the other way round."""
    if (metric == "mse") != predicts_numbers(task):
        fits = "mse" if predicts_numbers(task) else next(iter(HIGHER_IS_BETTER))
        raise Problem(f"metric={metric}: {task.name} predicts {'numbers' if fits == 'mse' else 'classes'}. Set metric={fits}.")


class Validation:
    """Episodes whose classes, or examples, a phase does not learn from; what it does learn from are `train`, by role.
    `judged_by` says which: classes held out | examples held out; None: there are too few of either.
    """

    def __init__(self, phase: Phase, tasks: Mapping[str, Task], seed: int) -> None:
        assert phase.kind is not None
        found = classes_apart(tasks, phase.kind.held_out, phase.kind, seed)
        self.train = {role: each.train for role, each in found.items()}
        held = {role: each.val for role, each in found.items()}
        kinds = {"classes held out" if each.classes else "examples held out" for each in found.values()}
        kind = replace(phase.kind, queries=max(phase.kind.queries, 1))
        # Where the validation split is too small for such tasks, a phase is not looked at.
        self.held = {role: each for role, each in held.items() if _enough(each, kind)}
        self.judged_by = " and ".join(sorted(kinds)) if self.held else None
        self.kind, self.seed = kind, seed
        self.episodes: Episodes | None = None

    def score(self, network: Network, learner: Any, metric: str, machine: Machine) -> float:
        """The metric's mean over `kind.val` episodes."""
        if self.episodes is None:
            self.episodes = Episodes(self.held, self.kind, seed=derive(self.seed, "validation"), device=machine.device)
        return float(scores(predicted(network, learner, self.episodes, self.kind.val, machine, every=False), metric).mean())


def _enough(examples: Examples, kind: Kind) -> bool:
    try:
        need_enough("", examples, kind)
    except Problem:
        return False
    return True
