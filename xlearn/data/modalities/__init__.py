"""Modalities: convert the raw column of a modality to the form that encoders read. One file each.

`fit(pools, options)` reads the raw data of all tasks of a run and returns a `Format`. Statistics (a vocabulary, means) are
learned from the rows in `Pool.train` only: training rows, never validation or test rows. An encoder that needs another form (a
published tokeniser, waves instead of frames, features of a frozen network) has a static method
`format(pools, options, **arguments)`, which replaces `fit` and gets the encoder's arguments.
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
    """One task's raw data: its name for messages, its fingerprint, and its training rows (int64, labelled or not).

    Rows that lack the modality are left out of `train`.
    """

    name: str
    raw: Raw
    fingerprint: str
    train: Tensor


class Format(Protocol):
    """A form of a modality that all tasks of a run share.

    `spec` describes the encoders' inputs and identifies the form: the same raw data and the same spec give the same column.
    """

    @property
    def spec(self) -> Spec: ...

    def __call__(self, pool: Pool) -> tuple[Column, dict[str, Any]]:
        """The column `[n, ...]` of all rows, and notes for the result (what was truncated, resampled, ...)."""
        ...


Pools = Sequence[Pool]
