"""What objectives of self-supervision have in common: they need no labels, and their features are watched."""

from typing import Any

from torch import nn

from xlearn.objectives.self_supervision.collapse import CollapseMonitor


class SelfSupervised(nn.Module):
    """An objective that learns from no labels and trains no head. It hands the features of every step to `monitor.note(role,
    features)`, and needs batches of two examples: one alone is not spread.
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
