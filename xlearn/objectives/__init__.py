"""Objectives: `(network, batches by role) -> {name: scalar loss}`.

A function is used as it is. A class is built with a `Start` when its phase begins; it may hold parameters and state,
which are trained, saved and resumed with the phase. If it has a method `follow(network)`, that is called after each
step (moving averages). With `reads_inputs = True` it looks at the inputs of single modalities, so that nothing may be
computed before in their place; with `pairs = True` it needs examples of several modalities, and trains no head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from xlearn.network import Network


@dataclass(frozen=True)
class Start:
    """What an objective may want to know when its phase begins.

    `copied`: the names that came from the source. `class_counts[role]`: labelled examples per class, int64 `[classes]`.
    `teacher`: the source's network, where the transfer lets it teach. Not to be trained, nor registered as a module.
    `steps`: how many the phase has at most.
    """

    network: Network
    copied: frozenset[str]
    class_counts: Mapping[str, Tensor]
    teacher: Network | None = None
    steps: int = 1
