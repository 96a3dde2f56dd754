"""Modalities: how the raw column of one becomes what encoders read. One file each.

`fit(pools, options)` looks at the raw data of all tasks of a run, and gives a `Format`. What is learned from data
(a vocabulary, means) is learned from the rows that `Pool.train` names: training rows, never validation or test.
An encoder that needs another form than its modality's (a published tokeniser, waves instead of frames, features of a
frozen network) has a static method `format(pools, options, **arguments)`, called with its own arguments in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from xlearn.data.columns import Column
from xlearn.data.task import Spec
from xlearn.data.tasks import Raw


@dataclass(frozen=True)
class Pool:
    """One task's raw data: its name for messages, their fingerprint, and its training rows (int64, whatever the labels).

    Rows that lack the modality are not among them.
    """

    name: str
    raw: Raw
    fingerprint: str
    train: Tensor


class Format(Protocol):
    """A form of a modality that all tasks of a run share.

    `spec` says what encoders get, and identifies the form: the same raw data and the same spec give the same column.
    """

    @property
    def spec(self) -> Spec: ...

    def __call__(self, pool: Pool) -> tuple[Column, dict[str, Any]]:
        """The column `[n, ...]` of all rows, and notes for the result (what was truncated, resampled, ...)."""
        ...


Pools = Sequence[Pool]
