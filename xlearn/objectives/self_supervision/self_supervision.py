"""The base class of self-supervised objectives: no labels, and a monitor of collapse."""

from typing import Any

from torch import nn

from xlearn.objectives import Objective
from xlearn.objectives.self_supervision.collapse import CollapseMonitor
from xlearn.runtime.needs import Needs


class SelfSupervised(Objective, nn.Module):
    """An objective that uses no labels and trains no head. It passes the features of every step to `monitor.note(role,
    features)`, and needs batches of two examples, because the spread of one is undefined.
    """

    needs = Needs(labels=False, trains_head=False, unlabeled=True, below_heads=True, raw_inputs=True, batch=2)

    def __init__(self) -> None:
        super().__init__()
        self.monitor = CollapseMonitor()

    def log(self) -> dict[str, Any]:
        return self.monitor.log()
