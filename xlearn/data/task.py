"""The data classes of a task: specs of its inputs, batches, examples and splits."""

import importlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xlearn.data.columns import Column, Inputs, Ragged, Sequences, subset, take
from xlearn.data.modalities import Mixture, modality
from xlearn.data.modalities import Modality as Spec
from xlearn.data.modalities.vector import ENCODED
from xlearn.label_spaces import LabelSpace

if TYPE_CHECKING:
    from xlearn.data.modalities.audio import AudioSpec as AudioSpec
    from xlearn.data.modalities.image import ImageSpec as ImageSpec
    from xlearn.data.modalities.tabular import TabularSpec as TabularSpec
    from xlearn.data.modalities.text import TextSpec as TextSpec
    from xlearn.data.modalities.vector import VectorSpec as VectorSpec

# Specs that had their place here. A phase goes through the code of its own modality only, so they are found when asked for.
SPECS = {"AudioSpec": "audio", "ImageSpec": "image", "TabularSpec": "tabular", "TextSpec": "text", "VectorSpec": "vector"}


def __getattr__(name: str) -> Any:
    if name not in SPECS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return vars(importlib.import_module(f"xlearn.data.modalities.{SPECS[name]}"))[name]


@dataclass
class Batch:
    """Some examples on one device.

    `inputs[modality]` is `[batch, ...]`, or `Sequences` with their mask. `labels [batch, ...]`: `space` says
    what they mean and which head reads the batch (of classes `int64 [batch]`, or `float [batch, classes]` where an augmentation
    mixes them).
    `present[modality] bool [batch]`: which examples have the modality (no entry: all). `features float [batch, width]`:
    precomputed, where all below the head is frozen. `encoded`: modalities with the tokens of a frozen encoder as inputs.
    `task`: the role, `target` or the name of a source. Tasks of the same examples may share inputs: then `rows int64 [m]` are
    those with a label for this task (None: all), `labels` has only these, and `memo` keeps what a network computed. `taught`:
    stored outputs of teachers (see `xlearn.phases.teacher_outputs`). `specs`: the form of each raw modality (no entry: nothing
    is known of it).
    """

    inputs: dict[str, Inputs]
    labels: Tensor
    space: LabelSpace
    features: Tensor | None = None
    present: dict[str, Tensor] = field(default_factory=dict)
    encoded: frozenset[str] = frozenset()
    task: str = "target"
    rows: Tensor | None = None
    memo: dict[Any, Any] | None = None
    taught: dict[str, Tensor] = field(default_factory=dict)
    specs: dict[str, Spec] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def form(self, name: str) -> Spec:
        """What may be done to the inputs of a modality, as they are here: raw, or the outputs of a frozen encoder."""
        return ENCODED if name in self.encoded else modality(self.specs.get(name))

    def only(self, *modalities: str) -> "Batch":
        """The same examples without the other modalities."""
        present = {name: self.present[name] for name in modalities if name in self.present}
        inputs = {name: self.inputs[name] for name in modalities}
        return replace(self, inputs=inputs, present=present, encoded=self.encoded & {*modalities}, memo=None)

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            # Pinned memory is what makes the copy to a GPU asynchronous.
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        def moved(column: Inputs) -> Inputs:
            return Sequences(move(column.values), move(column.mask)) if isinstance(column, Sequences) else move(column)

        features = None if self.features is None else move(self.features)
        inputs = {name: moved(column) for name, column in self.inputs.items()}
        present = {name: move(column) for name, column in self.present.items()}
        rows = None if self.rows is None else move(self.rows)
        taught = {name: move(column) for name, column in self.taught.items()}
        labels = move(self.labels)
        return replace(self, inputs=inputs, labels=labels, features=features, present=present, rows=rows, taught=taught)


@dataclass(frozen=True)
class Examples:
    """Columnar examples: `inputs[modality] [n, ...]` (images stay uint8) or `Ragged`, `labels [n, ...]`, `rows int64 [n]`.

    `rows` are the positions in the original data, so that splits can be shown to be disjoint. `present`, `encoded`, `task`,
    `taught` (`[n, ...]`) and `specs` as in `Batch`. `data` identifies the original data and their form; `whole`: all examples
    of them. `repeated bool [n]`: copies of an earlier row of the original data (None: none); episodes leave them out.
    """

    inputs: dict[str, Column] = field(repr=False)
    labels: Tensor = field(repr=False)
    rows: Tensor = field(repr=False)
    space: LabelSpace
    features: Tensor | None = field(default=None, repr=False)
    present: dict[str, Tensor] = field(default_factory=dict, repr=False)
    data: str = ""
    encoded: frozenset[str] = frozenset()
    whole: "Examples | None" = field(default=None, repr=False)
    task: str = "target"
    taught: dict[str, Tensor] = field(default_factory=dict, repr=False)
    specs: dict[str, Spec] = field(default_factory=dict, repr=False)
    repeated: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def form(self, name: str) -> Spec:
        """As of a `Batch`."""
        return ENCODED if name in self.encoded else modality(self.specs.get(name))

    def take(self, index: Tensor) -> Batch:
        labels = self.labels.index_select(0, index)
        taught = {name: column.index_select(0, index) for name, column in self.taught.items()}
        if self.features is not None:
            return Batch({}, labels, self.space, self.features.index_select(0, index), task=self.task, taught=taught)
        present = {name: column.index_select(0, index) for name, column in self.present.items()}
        inputs = {name: take(column, index) for name, column in self.inputs.items()}
        return Batch(inputs, labels, self.space, None, present, self.encoded, self.task, taught=taught, specs=self.specs)

    def lengths(self) -> Tensor | None:
        """How long the sequences of each example are, in units of the mean of their modality; None without sequences. A missing
        one has length 0, whatever stands in its place.
        """
        ragged = [
            column.lengths.double() * self.present.get(name, 1)
            for name, column in self.inputs.items()
            if isinstance(column, Ragged)
        ]
        if not ragged or self.features is not None:
            return None
        return torch.stack([each / each.mean().clamp_min(1e-9) for each in ragged]).sum(0)

    def subset(self, index: Tensor) -> "Examples":
        return replace(
            self,
            inputs={name: subset(column, index) for name, column in self.inputs.items()},
            labels=self.labels.index_select(0, index),
            rows=self.rows.index_select(0, index),
            features=None if self.features is None else self.features.index_select(0, index),
            present={name: column.index_select(0, index) for name, column in self.present.items()},
            taught={name: column.index_select(0, index) for name, column in self.taught.items()},
            whole=self.whole or self,
            repeated=None if self.repeated is None else self.repeated.index_select(0, index),
        )

    def only(self, *modalities: str) -> "Examples":
        present = {name: self.present[name] for name in modalities if name in self.present}
        encoded = self.encoded & {*modalities}
        return replace(self, inputs={name: self.inputs[name] for name in modalities}, present=present, encoded=encoded)

    def with_features(self, features: Tensor) -> "Examples":
        """The same examples with precomputed features of the frozen part of a network (`float [n, width]`)."""
        return replace(self, features=features)


def mixed_inputs(one: Batch | Examples, other: Batch | Examples, mixture: Mixture) -> dict[str, Any] | None:
    """The inputs of two batches or examples of the same modalities, mixed row by row by the `mix` of each; None if one of them
    cannot be mixed, as sequences and precomputed features, which then are mixed below the heads.
    """
    if one.features is not None or other.features is not None or one.inputs.keys() != other.inputs.keys():
        return None
    mixed: dict[str, Any] = {}
    for name, given in one.inputs.items():
        mix, second = one.form(name).mix, other.inputs[name]
        if mix is None or not isinstance(given, Tensor) or not isinstance(second, Tensor):
            return None
        mixed[name] = mix(given, second, mixture)
    return mixed


@dataclass
class Sealed:
    """The test split. It opens once; opening it again breaks the protocol and raises `RuntimeError`."""

    name: str
    examples: Examples = field(repr=False)
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

    `data` identifies the raw data, `fingerprint` the task made of them: splits, classes, sizes. `training int64`: all rows for
    training, labelled or not. `origin[name] int64`: for each row of the raw data its position in the data called `name`, from
    which other tasks may be made too. `content[modality] int64`: digests of all rows of the raw data (`xlearn.data.content`).
    """

    name: str
    inputs: dict[str, Spec]
    labels: LabelSpace
    train: Examples
    val: Examples
    unlabeled: Examples
    test: Sealed
    data: str
    fingerprint: str
    notes: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Tensor] = field(default_factory=dict, repr=False)
    training: Tensor = field(default_factory=lambda: torch.arange(0), repr=False)
    content: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def only(self, *modalities: str) -> "Task":
        """The same task, rows included, without the other modalities."""
        return replace(
            self,
            inputs={name: self.inputs[name] for name in modalities},
            train=self.train.only(*modalities),
            val=self.val.only(*modalities),
            unlabeled=self.unlabeled.only(*modalities),
            test=Sealed(self.name, self.test.examples.only(*modalities)),
            fingerprint=f"{self.fingerprint}:{'+'.join(sorted(modalities))}",
        )

    def class_counts(self) -> Tensor:
        """Labelled training examples per class (or other group of the label space), int64 `[classes]`."""
        return self.labels.counts(self.train.labels)
