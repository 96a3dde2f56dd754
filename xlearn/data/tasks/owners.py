"""Who each example belongs to: rows of one owner (a person, a session, a document) stay on one side of every split."""

from collections.abc import Sequence

import torch
from torch import Tensor


def owners(values: Sequence[object]) -> Tensor:
    """int64 `[n]`: the number of each row's owner, by first appearance. Equal values are one owner.

    Words are compared without white space around them. A missing value (None, NaN, a text of nothing but white space) is an
    owner of its own, because nothing says that such rows belong together.
    """
    numbers: dict[object, int] = {}
    found = []
    for row, value in enumerate(values):
        value = value.strip() if isinstance(value, str) else value
        unknown = value is None or value == "" or value != value  # only NaN differs from itself
        found.append(numbers.setdefault((row,) if unknown else value, len(numbers)))
    return torch.tensor(found, dtype=torch.int64)
