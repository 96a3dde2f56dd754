"""Tasks. A loader returns `Raw`: all examples of a data set, before any split, resizing or tokenising."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import lazy_loader as lazy
import torch
from torch import Tensor

from xlearn.data.columns import Ragged
from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.classes import Classes

OPEN, VAL, TEST = 0, 1, 2
# Between the columns of a text that is made of several (the unit separator of ASCII, which is white space for Python).
BETWEEN = "\x1f"

# Images `uint8 [n, channels, height, width]`; texts `list[str]`; waves `Ragged` of float32 `[total]` or frames of float32
# `[total, bands]`; numbers float32 or float64 `[n, columns]` with NaN where a value is missing.
RawColumn = Tensor | Ragged | list[str]


@dataclass(frozen=True)
class Raw:
    """Columns `inputs[modality]` (image, text, audio, tabular), `labels int64 [n]`, class names.

    `space` names the label space: two tasks with the same name and the same classes share a head. `official int8 [n]`, where
    the data come with splits, is OPEN (training), VAL or TEST. `notes` are copied into the result.
    `present[modality] bool [n]`: which examples have the modality, where not all do; the values of the others are ignored.
    `rate` of waves in Hz; `columns` names those of `tabular`, `categories` those among them that hold digests of words
    (`xlearn.data.content.of_word`) instead of numbers. `text_columns` names the columns of texts that `BETWEEN` separates.
    `skip_bad`: rows that a form of the run cannot read, such as a text without a token, are left out and counted.

    `origin[modality]`, where several tasks are made of the same data: (its name, int64 [n] the position of each example there),
    so that no task learns from the test examples of another.

    `content[modality] int64 [n]`: digests of the whole decoded examples (`xlearn.data.content`), where the column keeps less of
    them, as a picture's size. `names`: of the rows, for people: a file below its folder, a row of a table. `owner int64 [n]`:
    rows of the same number belong to one person, session or document, and stay on one side of every split. `labelled bool [n]`:
    which rows have a label, where not all do; the `labels` of the others mean nothing, and they are unlabelled training rows.
    `near[modality] int64 [n]`: hashes of which few bits differ between near copies (`xlearn.data.near_pictures`); 0: none.

    `predicts(space, classes)` makes the label space, which says what `labels` mean (see `xlearn.label_spaces`): by default one
    of the classes. For other label spaces `labels` may be numbers, `[n, ...]`, and `classes` name the groups, if at all.
    """

    inputs: dict[str, RawColumn]
    labels: Tensor
    classes: tuple[str, ...] = ()
    space: str = ""
    official: Tensor | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    present: dict[str, Tensor] = field(default_factory=dict)
    rate: int | None = None
    columns: tuple[str, ...] = ()
    origin: dict[str, tuple[str, Tensor]] = field(default_factory=dict)
    predicts: Callable[[str, tuple[str, ...]], LabelSpace] = Classes
    content: dict[str, Tensor] = field(default_factory=dict)
    names: Sequence[str] = ()
    owner: Tensor | None = None
    labelled: Tensor | None = None
    near: dict[str, Tensor] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    skip_bad: bool = False

    @cached_property
    def label_space(self) -> LabelSpace:
        """The label space of all examples, before any choice of classes."""
        return self.predicts(self.space, self.classes)

    @cached_property
    def strata(self) -> Tensor:
        """The group of each example, `int64 [n]`: its class, for tasks that predict classes. Only those of `known` rows mean
        anything.
        """
        return self.label_space.strata(self.labels)

    @cached_property
    def known(self) -> Tensor:
        """The rows that have a label, int64 `[m]`."""
        return torch.arange(len(self.labels)) if self.labelled is None else self.labelled.nonzero().flatten()

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, or their numbers where they have no name."""
        return self.classes or tuple(map(str, range(int(self.strata[self.known].max()) + 1)))


__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_audio_folder": ["audio_folder"],
        "_bbc_news": ["bbc_news"],
        "_emoji": ["emoji"],
        "_fsdd": ["fsdd"],
        "_hf_images": ["hf_images"],
        "_image_folder": ["image_folder"],
        "_japanese_vowels": ["japanese_vowels"],
        "_mnist5k": ["mnist5k"],
        "_omniglot": ["omniglot"],
        "_optdigits": ["optdigits"],
        "_own_table": ["own_table"],
        "_reviews_zh": ["reviews_zh"],
        "_sentiment": ["sentiment"],
        "_sinusoid": ["sinusoid"],
        "_sms_spam": ["sms_spam"],
        "_spoken_digits": ["spoken_digits"],
        "_two_moons": ["two_moons"],
        "torchvision_images": ["cifar10", "cifar100", "fashion_mnist"],
    },
)
