"""The values of many functions, each a regression task to learn from few points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.numbers import Numbers


@dataclass(frozen=True)
class Functions(Numbers):
    """Labels are `float [n, 2]`: the number of the function, whose name is in `classes`, and its value. Episodes are
    drawn from functions; an episode predicts the values of one.
    """

    group: ClassVar[str] = "function"
    only_in_episodes: ClassVar[str] = "predicts the values of many functions, so it can only be read in episodes"

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return super().losses(outputs, labels[:, 1:])

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        return None if training is None else super().floor(training[:, 1:], count)

    def strata(self, labels: Tensor) -> Tensor:
        return labels[:, 0].long()

    def regrouped(self, labels: Tensor, groups: Tensor) -> Tensor:
        labels = labels.clone()
        labels[:, 0] = groups[self.strata(labels)].to(labels.dtype)
        return labels

    def no_episodes(self, ways: int) -> str:
        return "" if ways == 1 else "needs one function per episode. Set episodes.ways=1"

    def episode(self, ways: int) -> LabelSpace:
        return Numbers("number", ())

    def episode_labels(self, labels: Tensor, shape: Sequence[int]) -> Tensor:
        return labels[:, 1:]
