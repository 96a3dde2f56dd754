"""The data of a table: a cell per row and column, with all numbers that the formats print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlearn.config.schema import DRAW
from xlearn.table.crossed import Crossed, Scores
from xlearn.table.statistics import SIGNIFICANT, half_width, mean

Replicate = tuple[str, ...]

TASKS = "tasks"  # the column key for one column per task of a joint run
DELTA = "delta_m"  # the last of these columns
SINGLE = "single task"
GAP = "gap_closed"  # (result - source only) / (target only - source only)


@dataclass(frozen=True)
class Cell:
    """The results of the runs of one row and column.

    `values`, `gains` (over each run's own baseline, above 0 is better) and `before` (that baseline's values) are by
    replicate. `p`: of the paired test, None without one; `better`: its direction. `seconds`: mean over the runs of the
    training time of all their phases, cached or not. `parameters`, `flops`: mean over the runs of their `cost`, None if no
    result has one. `failed`, `missing`, `unmeasured` (finished, but without this number): numbers of runs. `bound`: whether the
    cell is of a reference row, without transfer.
    `not_learned`, `baseline_not_learned`: the numbers of runs whose network, and whose baseline, is not better than the floor.
    `steps`, `baseline_steps`: mean steps on the target, of the network and of its baseline; None if no result has them.
    `closed`: the share of the gap between the means of source only and target only that is closed, None without bounds.
    `crossed`, `gain_crossed`, `difference`: the designs of values, gains and tested differences where the runs cross draws with
    seeds, else None. `scores`, `before_scores`: what each test row contributes to `values` and `before`, in such a cell.
    `equal`: whether its runs were computed under another name, which composes to the same configuration.
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
    crossed: Crossed | None = None
    gain_crossed: Crossed | None = None
    difference: Crossed | None = None
    scores: Mapping[Replicate, Scores] = field(default_factory=dict, repr=False, compare=False)
    before_scores: Mapping[Replicate, Scores] = field(default_factory=dict, repr=False, compare=False)
    not_learned: int = 0
    baseline_not_learned: int = 0
    steps: float | None = None
    baseline_steps: float | None = None
    equal: bool = False
    unmeasured: int = 0

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        return mean([*self.values.values()]) if self.values else None

    @property
    def half_width(self) -> float | None:
        return half_width([*self.values.values()]) if self.crossed is None else self.crossed.half_width

    @property
    def gain(self) -> float | None:
        return mean([*self.gains.values()]) if self.gains else None

    @property
    def gain_half_width(self) -> float | None:
        return half_width([*self.gains.values()]) if self.gain_crossed is None else self.gain_crossed.half_width

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
        """The mean gain is below 0, not significant: the interval contains 0, or one seed gives no interval."""
        return not self.bound and self.gain is not None and self.gain < 0 and not self.negative


@dataclass(frozen=True)
class Axis:
    """The axis of a curve: the entry of `robustness`, the meaning of its levels, and the end of the plot's title."""

    name: str
    words: str
    title: str


@dataclass(frozen=True)
class Table:
    """Rows and columns by label, and a cell for each pair. `against`: the row tested against; None: each run's baseline.

    `codes`: digest of the code -> number of results that it computed. `axis`: the columns are levels of corrupted test
    inputs, gains are over the same run's clean test inputs, and there are no seconds. `groups`: row -> the group within which
    the best mean is marked (the label without its last key). `together`: parameters count all tasks of a joint run, not only
    the part that predicts the target. `higher`: column -> whether higher is better. `versions`: package -> versions that
    computed the results. `command`: the command that made the table.
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
        """Whether bold marks the best mean of each group of rows."""
        return len({*self.groups.values()}) > 1

    @property
    def tasks(self) -> bool:
        """Whether the columns are tasks; gains are then over single-task networks."""
        return self.column_keys == (TASKS,) and self.axis is None

    @property
    def draws(self) -> bool:
        """Whether the runs have draws of labels and split apart from their seeds. Replicates then begin with seed and draw."""
        return any(key == DRAW for key, _ in self.replicates)

    @property
    def full(self) -> int:
        """The number of replicates that a complete cell has."""
        return max(cell.n + cell.failed + cell.missing for cell in self.cells.values())

    @property
    def tests(self) -> int:
        return sum(cell.p is not None for cell in self.cells.values())

    @property
    def compared(self) -> bool:
        """Whether any cell has a gain (retrieval has no baseline)."""
        return any(cell.gains for cell in self.cells.values()) or not any(cell.n for cell in self.cells.values())

    @property
    def selection(self) -> list[str]:
        return sorted({rule for cell in self.cells.values() for rule in cell.selection})
