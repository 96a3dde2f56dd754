"""What a table is made of: a cell per row and column, with everything that any format shows of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlearn.table.statistics import SIGNIFICANT, half_width, mean

Replicate = tuple[str, ...]

TASKS = "tasks"  # the key of the columns that are the tasks of runs which learn several in one network
DELTA = "delta_m"  # their last column
SINGLE = "single task"
GAP = "gap_closed"  # the share of the way from the source alone to the target with all labels


@dataclass(frozen=True)
class Cell:
    """What the runs of one row and column came to.

    `values`, `gains` (over each run's own baseline, above 0 is better) and `before` (that baseline's values) are by
    replicate. `p` is of the paired test, None without one; `better` its direction. `seconds`: mean over the runs of
    what all phases of their chain cost, whether they came from the cache or not. `parameters`, `flops`: mean over the runs
    of their `cost`, None where no result has one. `failed`, `missing`: numbers of runs.
    `bound`: of a row that the runs bring with them; nothing was transferred there. `closed`: the share of the gap between the
    means of source only and target only that the mean closes, None where the runs do not know them.
    """

    values: Mapping[Replicate, float] = field(default_factory=dict)
    gains: Mapping[Replicate, float] = field(default_factory=dict)
    before: Mapping[Replicate, float] = field(default_factory=dict)
    selection: frozenset[str] = frozenset()
    seconds: float | None = None
    parameters: float | None = None
    flops: float | None = None
    failed: int = 0
    missing: int = 0
    p: float | None = None
    p_holm: float | None = None
    better: bool = False
    best: bool = False
    bound: bool = False
    closed: float | None = None

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        return mean([*self.values.values()]) if self.values else None

    @property
    def half_width(self) -> float | None:
        return half_width([*self.values.values()])

    @property
    def gain(self) -> float | None:
        return mean([*self.gains.values()]) if self.gains else None

    @property
    def gain_half_width(self) -> float | None:
        return half_width([*self.gains.values()])

    @property
    def significant(self) -> bool:
        return self.p_holm is not None and self.p_holm < SIGNIFICANT

    @property
    def negative(self) -> bool:
        """Negative transfer: the mean gain and its whole 95 % interval lie below 0."""
        if self.bound or self.gain is None or self.gain_half_width is None:
            return False
        return self.gain + self.gain_half_width < 0

    @property
    def perhaps_negative(self) -> bool:
        """The mean gain lies below 0, but its interval reaches 0, or there is none."""
        return not self.bound and self.gain is not None and self.gain < 0 and not self.negative


@dataclass(frozen=True)
class Axis:
    """The levels of a curve: the entry of `robustness`, what its levels count, and how a title ends that tells of them."""

    name: str
    words: str
    title: str


@dataclass(frozen=True)
class Table:
    """Rows and columns by label, and a cell for each pair. `against` is the row tested against; None: own baselines.

    `codes`: the digests of the code that computed the results, with their numbers of results. `axis`: the columns are
    levels of spoiled test inputs, gains are over the same run's unspoiled ones, and seconds mean nothing. `groups`: by row the
    group in which it may be the best (the label without its last key). `together`: the
    parameters of a run are those of all its tasks, not only those that a prediction for the target reads. `higher`: by column
    whether more is better. `versions`: by package those that computed the results. `command`: what made the table.
    """

    row_keys: tuple[str, ...]
    column_keys: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    metric: str
    higher_is_better: bool
    against: str | None
    baselines: tuple[str, ...]
    replicates: tuple[tuple[str, tuple[str, ...]], ...]
    differing: Mapping[str, Sequence[str]]
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    codes: Mapping[str, int] = field(default_factory=dict)
    axis: Axis | None = None
    together: bool = False
    higher: Mapping[str, bool] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    command: str = ""

    @property
    def grouped(self) -> bool:
        """Whether bold is the best of a group of rows."""
        return len({*self.groups.values()}) > 1

    @property
    def tasks(self) -> bool:
        """Whether the columns are tasks; gains are over learning each alone."""
        return self.column_keys == (TASKS,) and self.axis is None

    @property
    def full(self) -> int:
        """The number of replicates that a complete cell has."""
        return max(cell.n + cell.failed + cell.missing for cell in self.cells.values())

    @property
    def tests(self) -> int:
        return sum(cell.p is not None for cell in self.cells.values())

    @property
    def compared(self) -> bool:
        """Whether there is a gain in any cell; retrieval has no baseline."""
        return any(cell.gains for cell in self.cells.values()) or not any(cell.n for cell in self.cells.values())

    @property
    def selection(self) -> list[str]:
        return sorted({rule for cell in self.cells.values() for rule in cell.selection})
