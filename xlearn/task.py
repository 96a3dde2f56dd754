"""The nouns of a task: what its inputs look like, which labels it has, which examples are in which split."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from xlearn.errors import Problem


@dataclass(frozen=True)
class ImageSpec:
    """Images as `uint8 [n, channels, height, width]`."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class LabelSpace:
    """The classes a head tells apart. Two tasks own the same head exactly if their `key` is the same."""

    name: str
    classes: tuple[str, ...]

    @property
    def key(self) -> str:
        """A parameter-name-safe identity: the name, and a digest of the classes in their order."""
        digest = hashlib.blake2b("\x1f".join(self.classes).encode(), digest_size=3).hexdigest()
        return f"{self.name.replace('.', '_')}{len(self.classes)}_{digest}"


@dataclass
class Batch:
    """Some examples on one device.

    `inputs[modality]` is `[batch, ...]`; `labels` is `int64 [batch]`, or `float [batch, classes]` where an
    augmentation mixes labels; `space` says what they mean and which head reads the batch; `features` is
    `float [batch, width]` when the frozen part was computed before.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    space: LabelSpace
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            # Pinned memory is what makes the copy to a GPU asynchronous.
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        features = None if self.features is None else move(self.features)
        inputs = {name: move(column) for name, column in self.inputs.items()}
        return Batch(inputs, move(self.labels), self.space, features)


@dataclass(frozen=True)
class Examples:
    """Columnar examples: `inputs[modality] [n, ...]` (images stay uint8), `labels int64 [n]`, `rows int64 [n]`.

    `rows` are the positions in the original data, so that splits can be shown to be disjoint.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    rows: Tensor
    space: LabelSpace
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def _batch(self, pick: Callable[[Tensor], Tensor]) -> Batch:
        if self.features is not None:
            return Batch({}, pick(self.labels), self.space, pick(self.features))
        return Batch({name: pick(column) for name, column in self.inputs.items()}, pick(self.labels), self.space)

    def take(self, index: Tensor) -> Batch:
        """The examples at `index` (int64 `[batch]`), in that order."""
        return self._batch(lambda column: column.index_select(0, index))

    def slice(self, start: int, stop: int) -> Batch:
        """The examples from `start` to `stop`, without a copy."""
        return self._batch(lambda column: column[start:stop])

    def subset(self, index: Tensor) -> "Examples":
        inputs = {name: column.index_select(0, index) for name, column in self.inputs.items()}
        return replace(self, inputs=inputs, labels=self.labels.index_select(0, index), rows=self.rows.index_select(0, index))

    def with_features(self, features: Tensor) -> "Examples":
        """The same examples, with what the frozen part of a network makes of them (`float [n, width]`)."""
        return replace(self, features=features)


@dataclass
class Sealed:
    """The test split. It opens once; a second look is a mistake in the protocol and raises."""

    name: str
    examples: Examples
    opened: bool = False

    def __len__(self) -> int:
        return len(self.examples)

    def open(self) -> Examples:
        if self.opened:
            raise RuntimeError(f"the test split of {self.name} was already used; selection must not see it")
        self.opened = True
        return self.examples


@dataclass(frozen=True)
class Task:
    """One task: `inputs` {modality: spec}, a label space and its splits.

    `data` identifies the raw data, `fingerprint` what was made of them: splits, classes, sizes.
    """

    name: str
    inputs: dict[str, ImageSpec]
    labels: LabelSpace
    train: Examples
    val: Examples
    unlabeled: Examples
    test: Sealed
    data: str
    fingerprint: str
    notes: dict[str, Any] = field(default_factory=dict)

    def class_counts(self) -> Tensor:
        """Labelled training examples per class, int64 `[classes]`."""
        return torch.bincount(self.train.labels, minlength=len(self.labels.classes))


def need_examples(task: Task) -> None:
    """Raise where a task has nothing to learn from or nothing to be measured on."""
    if len(task.train) == 0:
        raise Problem(f"{task.name} has no labelled training example left. Raise shots or fraction, or lower val or test.")
    if len(task.test) == 0:
        raise Problem(f"{task.name} has no test example. Set test to a fraction above 0.")
