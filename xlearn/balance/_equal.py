"""The sum of the losses."""

from collections.abc import Mapping

import torch
from torch import Tensor

from xlearn.balance import Backward
from xlearn.runtime.needs import NO_LABELS, declares


@declares(NO_LABELS)
def equal(losses: Mapping[str, Tensor], backward: Backward) -> None:
    """Gradient of `sum_t L_t`. (A sum, not a mean: with more tasks the step grows.)"""
    values = list(losses.values())
    backward(values[0] if len(values) == 1 else torch.stack(values).sum())
