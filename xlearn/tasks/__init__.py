"""Tasks. A loader returns `Raw`: all examples of the data as they are, before any split or resizing."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

OPEN, VAL, TEST = 0, 1, 2


@dataclass(frozen=True)
class Raw:
    """Columns `inputs[modality]` (images `uint8 [n, channels, height, width]`), `labels int64 [n]`, class names.

    `space` names the label space: two tasks with the same name and the same classes share a head. `official int8 [n]`,
    where the data come with splits, is OPEN (training), VAL or TEST. `notes` goes into the result as it is.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    classes: tuple[str, ...]
    space: str
    official: Tensor | None = None
    notes: dict[str, Any] = field(default_factory=dict)
