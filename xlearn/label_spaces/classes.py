"""One of several classes, by logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.keys import key_of
from xlearn.metrics.measure import measure, measure_reduced, reduced, score
from xlearn.runtime.errors import Problem
from xlearn.runtime.names import OF_CLASSES


@dataclass(frozen=True)
class Classes(LabelSpace):
    """One of `classes`, in their order. Labels are `int64 [n]`, or `float [n, classes]` where an augmentation mixes them;
    outputs are logits. The loss is cross-entropy, the floor predicts the frequencies of the training labels.
    """

    metrics: ClassVar = OF_CLASSES
    metric: ClassVar[str] = "accuracy"
    kind: ClassVar[str] = "classes"
    floor_name: ClassVar[str] = "majority class"
    group: ClassVar[str] = "class"

    @property
    def key(self) -> str:
        return key_of(self.name, self.classes)

    @property
    def width(self) -> int:
        return len(self.classes)

    def head(self, width: int) -> nn.Module:
        return nn.Linear(width, len(self.classes))

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, labels, reduction="none")

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, labels)

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(-1)

    def measure(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        return measure(outputs, labels, self.classes)

    def reduced(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return reduced(outputs, labels)

    def measure_reduced(self, reduced: Mapping[str, Tensor], labels: Tensor) -> dict[str, Any]:
        return measure_reduced(reduced, labels, self.classes)

    def correct_reduced(self, reduced: Mapping[str, Tensor], labels: Tensor) -> Tensor | None:
        return reduced["predicted"] == labels

    def per_example(self, metric: str, reduced: Mapping[str, Tensor], labels: Tensor) -> Tensor | None:
        if metric == "accuracy":
            return (reduced["predicted"] == labels).double()
        return -reduced["log_probability"] if metric == "nll" else None

    def written_labels(self, labels: Tensor) -> list[str]:
        return [self.classes[place] for place in labels.tolist()]

    def written(self, reduced: Mapping[str, Tensor]) -> dict[str, list[str]]:
        """`predicted`, the name of the class, and its `probability`."""
        probabilities = [f"{each:.6f}" for each in reduced["confidence"].tolist()]
        return {"predicted": self.written_labels(reduced["predicted"]), "probability": probabilities}

    def floor_metric(self, metric: str) -> str:
        """The shares of the classes are calibrated, and the worst class may have a recall of 0 in a good network."""
        return {"calibration_error": "accuracy", "worst_class": "balanced_accuracy"}.get(metric, metric)

    def score(self, metric: str, outputs: Tensor, labels: Tensor) -> float:
        return score(metric, outputs, labels)

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        """Without labels all classes are equally probable."""
        if training is None:
            return torch.zeros(count, len(self.classes))
        counts = self.counts(training).double()
        shares = (counts / counts.sum()).clamp_min(1e-9).log().float()
        return shares.expand(count, -1)

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor | None:
        return self.predictions(outputs) == labels

    def strata(self, labels: Tensor) -> Tensor:
        return labels

    def regrouped(self, labels: Tensor, groups: Tensor) -> Tensor:
        return groups[labels]

    def no_episodes(self, ways: int) -> str:
        return "needs at least 2 classes per episode" if ways == 1 else ""

    def episode(self, ways: int) -> LabelSpace:
        """The classes of an episode, by their position."""
        return Classes("episode", tuple(str(place) for place in range(ways)))

    def episode_labels(self, labels: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.arange(shape[1])[:, None].expand(*shape).flatten()

    def scores_by_episode(self, metric: str, outputs: Tensor, labels: Tensor) -> Tensor:
        if metric == "accuracy":  # all at once, because it is computed after every inner step
            return (self.predictions(outputs) == labels).double().mean(1)
        return super().scores_by_episode(metric, outputs, labels)


def need_classes(space: LabelSpace, what: str, fix: str) -> None:
    """Raise `Problem` where `what` is defined by classes, and the label space has none."""
    if not isinstance(space, Classes):
        raise Problem(f"{what} is defined for classes, but the labels here are {space.kind}. {fix}")
