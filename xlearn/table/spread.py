"""What stands in the cells of a table: records, which may be of one run several times, with their row and column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xlearn.table.cells import DELTA
from xlearn.table.collect import Record
from xlearn.table.measures import Measure


@dataclass(frozen=True)
class Spread:
    """What stands in the cells: `records` with the label of their row and column, which may be of one run several times.

    `columns`: their labels in order, nothing if they are to be sorted. `what`: the measured number.
    """

    records: Sequence[Record]
    row_of: Sequence[str]
    column_of: Sequence[str]
    what: Measure
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    together: bool = False

    def measured(self, column: str) -> Measure:
        """The number of this column: `delta_m` has the sign that makes more better, whatever its metric."""
        return replace(self.what, higher=True) if self.columns and column == DELTA else self.what
