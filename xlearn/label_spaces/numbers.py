"""A number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.keys import key_of
from xlearn.runtime.names import OF_NUMBERS


@dataclass(frozen=True)
class Numbers(LabelSpace):
    """A number per example. Labels are `float [n]` or `float [n, 1]`; the loss and the metric are the mean squared error, the
    floor predicts the mean of the training labels.
    """

    metrics: ClassVar = OF_NUMBERS
    metric: ClassVar[str] = "mse"
    kind: ClassVar[str] = "numbers"
    floor_name: ClassVar[str] = "mean of the training labels"
    group: ClassVar[str] = ""

    @property
    def key(self) -> str:
        return key_of(self.name, self.classes or ("value",))

    @property
    def width(self) -> int:
        return 1

    def head(self, width: int) -> nn.Module:
        return nn.Linear(width, 1)

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels.reshape(outputs.shape)).square().mean(1)

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs

    def measure(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        return {"mse": float(self.losses(outputs.double(), labels.double()).mean())}

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        return None if training is None else training.double().mean().float().expand(count, 1)

    def per_example(self, metric: str, reduced: Mapping[str, Tensor], labels: Tensor) -> Tensor | None:
        return self.losses(reduced["logits"].double(), labels.double()) if metric == "mse" else None

    def scores_by_episode(self, metric: str, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels.reshape(outputs.shape)).double().square().mean((1, 2))

    def measure_episodes(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        return {"mse": float(self.scores_by_episode("mse", outputs, labels).mean())}
