"""The records of a table with their row and column; a run may give several records (one per task or rule)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xlearn.table.cells import DELTA
from xlearn.table.collect import Record
from xlearn.table.measures import Measure


@dataclass(frozen=True)
class Spread:
    """`records` with the labels of their row and column; a run may give several records.

    `columns`: the labels in order, empty if they are to be sorted. `what`: the measured number.
    """

    records: Sequence[Record]
    row_of: Sequence[str]
    column_of: Sequence[str]
    what: Measure
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    together: bool = False

    def measured(self, column: str) -> Measure:
        """The number of this column; for `delta_m` higher is better, whatever the metric."""
        return replace(self.what, higher=True) if self.columns and column == DELTA else self.what
