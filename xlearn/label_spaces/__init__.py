"""Label spaces: what a task predicts, as an object. The engine asks it and knows no kind of label.

A label space of your own is a subclass of `LabelSpace` with its abstract methods, and a frozen dataclass. A loader names it in
`Raw.predicts` (see `xlearn.data.tasks`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import lazy_loader as lazy
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LabelSpace(ABC):
    """What a task predicts. Outputs are `float [n, width]`, as the head gives them; labels `[n, ...]` mean what the label space
    says, with two rules: integers are 0 or more, and row i belongs to example i.

    `name`: two tasks with the same name and `classes` share a head. `classes`: the names of the groups that `strata` returns,
    () where they have none. `metrics`: by name whether higher is better; `metric`: the default one. `kind`, `floor_name` and
    `group`: the words for what is predicted ("numbers"), for the floor ("majority class") and for a group ("class").
    """

    name: str
    classes: tuple[str, ...]

    metrics: ClassVar[Mapping[str, bool]]
    metric: ClassVar[str]
    kind: ClassVar[str]
    floor_name: ClassVar[str] = "floor"
    group: ClassVar[str] = "group"
    # Why such a task cannot be learned outside of few-shot episodes, as the rest of a sentence; "" if it can.
    only_in_episodes: ClassVar[str] = ""

    @property
    @abstractmethod
    def key(self) -> str:
        """The identity of the head, safe in names of parameters: two tasks have the same head exactly if it is the same."""

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of outputs per example."""

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """A new head on features of this width, `[n, width] -> [n, self.width]`, drawn from torch's generator."""

    def outputs(self, head: nn.Module, features: Tensor) -> Tensor:
        """The outputs of a head `[n, self.width]`, for features `[n, width]`. A head that serves several tasks (see `together`)
        may know more than this one predicts.
        """
        return head(features)

    def together(self, other: "LabelSpace") -> "LabelSpace":
        """The label space of one head for tasks of the same `key`, e.g. of catalogues with other items."""
        return self

    @abstractmethod
    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The supervised loss of each example, `float [n]`."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The supervised loss, the mean over examples."""
        return self.losses(outputs, labels).mean()

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """What is predicted, in the form of the labels."""

    @abstractmethod
    def measure(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        """All metrics, as numbers; further details as lists and dictionaries."""

    def reduced(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the metrics need of the outputs, `[n, ...]` each, where the outputs of all examples are too many to keep (see
        `xlearn.networks.predictions`). By default the outputs, called `logits`. The two methods below read it; a
        label space that changes `measure` of another changes all three.
        """
        return {"logits": outputs}

    def measure_reduced(self, reduced: Mapping[str, Tensor], labels: Tensor) -> dict[str, Any]:
        """As `measure`."""
        return self.measure(reduced["logits"], labels)

    def correct_reduced(self, reduced: Mapping[str, Tensor], labels: Tensor) -> Tensor | None:
        """As `correct`."""
        return self.correct(reduced["logits"], labels)

    def per_example(self, metric: str, reduced: Mapping[str, Tensor], labels: Tensor) -> Tensor | None:
        """The values `float64 [n]` whose mean is the metric; None for a metric that is no mean over examples."""
        return None

    def floor_metric(self, metric: str) -> str:
        """The metric in which a network is compared with the floor. Another one than the run's where the floor is good without
        having learned anything, or a network that has learned is not better.
        """
        return metric

    def own_metric(self, metric: str) -> str:
        """The run's metric; the default one for a task of another kind, as a source may be."""
        return metric if metric in self.metrics else self.metric

    def score(self, metric: str, outputs: Tensor, labels: Tensor) -> float:
        """One metric, for selection while training."""
        return float(self.measure(outputs, labels)[metric])

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        """The outputs `[count, width]` of a prediction that reads no input and knows the training labels (None: no labels).
        None where a label space has no floor.
        """
        return None

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor | None:
        """Whether each prediction is right, `bool`, for paired comparisons; None where a prediction is not right or wrong."""
        return None

    def strata(self, labels: Tensor) -> Tensor:
        """The group of each example, `int64 [n]` from 0: splits are stratified by it, `shots` counts per group, episodes are
        drawn from groups. By default all examples are one group.
        """
        return torch.zeros(len(labels), dtype=torch.int64)

    def regrouped(self, labels: Tensor, groups: Tensor) -> Tensor:
        """The labels after a choice among `classes`: group g becomes `groups[g]` (-1: left out)."""
        return labels

    def counts(self, labels: Tensor) -> Tensor:
        """Examples per group, `int64`."""
        return torch.bincount(self.strata(labels), minlength=len(self.classes))

    def no_episodes(self, ways: int) -> str:
        """Why no episode can be made of `ways` groups, as the rest of a sentence about the task; "" if one can."""
        return "has no classes to draw episodes from. Choose another task"

    def episode(self, ways: int) -> "LabelSpace":
        """What an episode of `ways` groups predicts."""
        return self

    def episode_labels(self, labels: Tensor, shape: Sequence[int]) -> Tensor:
        """The labels of the examples of episodes, in the label space `episode`. `shape`: (episodes, groups, examples of each),
        in the order of the rows.
        """
        return labels

    def scores_by_episode(self, metric: str, outputs: Tensor, labels: Tensor) -> Tensor:
        """A metric of each episode, `float64 [episodes]`, of outputs `[episodes, n, width]` and labels `[episodes, n, ...]`."""
        each = [self.score(metric, given, right) for given, right in zip(outputs, labels, strict=True)]
        return torch.tensor(each, dtype=torch.float64)

    def measure_episodes(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        """As `measure`, over the queries of all episodes."""
        return self.measure(outputs.flatten(0, 1), labels.flatten(0, 1))

    def written_labels(self, labels: Tensor) -> list[str]:
        """The labels as `predictions.csv` has them."""
        return [_text(each) for each in labels.tolist()]

    def written(self, reduced: Mapping[str, Tensor]) -> dict[str, list[str]]:
        """The columns of `predictions.csv` by name, from `reduced`: by default `predicted`, in the form of the labels."""
        return {"predicted": self.written_labels(self.predictions(reduced["logits"]))}

    def described(self) -> dict[str, Any]:
        """For `result.json`, from which summaries and tables take directions and words."""
        return {
            "kind": self.kind, "higher_is_better": dict(self.metrics), "floor": self.floor_name, "group": self.group,
        }  # fmt: skip


def _text(value: Any) -> str:
    """A number with 6 significant digits, several of them with a space between."""
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def joined(spaces: Mapping[str, LabelSpace], others: Iterable[LabelSpace]) -> dict[str, LabelSpace]:
    """The label spaces of heads by key, with those of further tasks."""
    found = dict(spaces)
    for each in others:
        found[each.key] = found[each.key].together(each) if each.key in found else each
    return found


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "classes": ["Classes"],
        "functions": ["Functions"],
        "numbers": ["Numbers"],
    },
)
