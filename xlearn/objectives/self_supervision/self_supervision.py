"""The base class of self-supervised objectives: no labels, and a monitor of collapse."""

from typing import Any

from torch import nn

from xlearn.objectives.self_supervision.collapse import CollapseMonitor


class SelfSupervised(nn.Module):
    """An objective that uses no labels and trains no head. It passes the features of every step to `monitor.note(role,
    features)`, and needs batches of two examples, because the spread of one is undefined.
    """

    unlabeled = reads_inputs = True
    labels = False

    def __init__(self) -> None:
        super().__init__()
        self.monitor = CollapseMonitor()

    @staticmethod
    def smallest_batch(**options: object) -> int:
        return 2

    def log(self) -> dict[str, Any]:
        return self.monitor.log()
