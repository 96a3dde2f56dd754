"""The texts of a table in every format: cells and the notes below. Marks are in backticks."""

from dataclasses import dataclass

from xlearn.table.cells import DELTA, SINGLE, Table
from xlearn.table.costs import cost_sentence, costs
from xlearn.table.questions import deviations, questions, test_words

BETTER, WORSE, NEGATIVE, PERHAPS, ORACLE, FAILED, MISSING = "*↑", "*↓", "neg.", "neg.?", "†", "X", "-"
NOT_LEARNED, UNMEASURED = "‡", "n/a"
EQUAL = "="
DECIMALS = 3
LISTED = 5
LARGE = 1000


@dataclass(frozen=True)
class Words:
    """The text of a cell: the mean, its interval (or nothing), and the rest."""

    mean: str
    interval: str = ""
    rest: str = ""


def words(table: Table, row: str, column: str) -> Words:
    """The text of a cell: without results X if a run failed, else -. `delta_m` is itself a gain, in percent; a joint run trains
    all tasks at once, so its seconds are in that column only.
    """
    cell = table.cells[row, column]
    of_all = table.tasks and column == DELTA
    if cell.mean is None:
        return Words(FAILED if cell.failed else UNMEASURED if cell.unmeasured and not cell.missing else MISSING)
    oracle = ORACLE if cell.selection & {"best_target", "oracle"} else ""
    closed = "" if cell.closed is None else f", {100 * cell.closed:.0f} %"
    # A run that is its own baseline (source only) prints no gain.
    itself = cell.closed is not None and bool(cell.gains) and not any(cell.gains.values())
    weak = NOT_LEARNED * bool(cell.baseline_not_learned)
    parts = [] if cell.gain is None or of_all or itself else [f"({_figure(cell.gain, '+')}{weak}{closed})"]
    if cell.significant:
        parts.append(BETTER if cell.better else WORSE)
    if cell.negative and table.axis is None:
        parts.append(NEGATIVE)
    elif cell.perhaps_negative and table.axis is None:
        parts.append(PERHAPS)
    if cell.equal:
        parts.append(EQUAL)
    if cell.n < table.full:
        parts.append(f"n={cell.n}{f',{cell.failed}{FAILED}' if cell.failed else ''}")
    if cell.seconds is not None and (of_all or not table.tasks):
        parts.append(f"{cell.seconds:.{1 if cell.seconds < 100 else 0}f} s")
    half = cell.half_width
    if of_all:
        mean, interval = f"{100 * cell.mean:+.2f} %", "" if half is None else f"± {100 * half:.2f} %"
    else:
        mean, interval = _figure(cell.mean), "" if half is None else f"± {_figure(half)}"
    rest = " ".join(parts)
    if cell.crossed is not None and cell.crossed.components is not None:
        rest += f"{'; ' * bool(rest)}{deviations(cell.crossed.components, 100 if of_all else 1)}"
    return Words(f"{mean}{oracle}{NOT_LEARNED * bool(cell.not_learned)}", interval, rest)


def _figure(value: float, sign: str = "") -> str:
    """Three decimals; none for large numbers, such as parameters."""
    return f"{value:{sign}.{DECIMALS if abs(value) < LARGE else 0}f}"


def heading(table: Table, label: str) -> str:
    """`target.shots=5` for a column; a task's name."""
    if table.tasks:
        return label
    return ", ".join(f"{key}={each}" for key, each in zip(table.column_keys, label.split(", "), strict=False))


def sentences(table: Table) -> list[str]:
    """The notes below a table."""
    own = "the same run on the clean test split" if table.axis else f"each run's own baseline ({_baselines(table)})"
    if table.tasks:
        own = f"the task trained in a separate network ({SINGLE}{f'; `{DELTA}`: than 0' if DELTA in table.columns else ''})"
    against = f"the row {table.against}" if table.against is not None else own
    found = [*_numbers(table), *questions(table), *_delta(table), *_selection(table), *_parentheses(table)]
    found += [cost_sentence(table)] if costs(table) else []
    if table.tests:
        found.append(
            f"`{BETTER}` / `{WORSE}`: better / worse than {against}, {test_words(table)}, p < 0.05 after "
            f"Holm's correction for all {table.tests} test(s) of this table."
        )
    found += [
        *_not_learned(table),
        *_negative(table),
        f"`{FAILED}`: failed. `{MISSING}`: missing. `n=`: the results of an incomplete cell.",
    ]
    if any(cell.mean is None and cell.unmeasured for cell in table.cells.values()):
        found.append(
            f"`{UNMEASURED}`: finished, without this number, as of a target without labels: nothing can be measured on it."
        )
    if table.differing:
        listed = "; ".join(f"{key} ({', '.join(values[:LISTED])})" for key, values in table.differing.items())
        found.append(f"The runs also differ in keys that are neither row, column nor seed: {listed}.")
    return [*found, *_codes(table), *_failures(table), *table.notes]


def _baselines(table: Table) -> str:
    return ", ".join(table.baselines) or "scratch"


def _parentheses(table: Table) -> list[str]:
    if table.axis:
        return ["In parentheses: mean change against the same run on the clean test split; above 0 is better."]
    if table.tasks:
        chain = f"Seconds, under `{DELTA}`: mean training time per run, all phases and tasks together, cached or not"
        return [
            "In parentheses: mean gain over the task trained in a separate network (same labels, split, budget and seed); "
            "above 0 is better.",
            *([f"{chain}; {SINGLE}: the sum over the tasks."] if DELTA in table.columns else []),
        ]
    same = f"same {'draw and ' * table.draws}seed"
    gain = f"In parentheses: mean gain over each run's own baseline ({_baselines(table)}, {same}); above 0 is better. "
    if any(cell.closed is not None for cell in table.cells.values()):
        gain += (
            "Percent: the share of the gap that is closed, from source only (0 %: the unchanged source network) to target only "
            "(100 %: trained from scratch on the labels of all training examples, with the transfer's budget). "
        )
    return [f"{gain if table.compared else ''}Seconds: mean training time per run (pretraining and transfer), cached or not."]


def _not_learned(table: Table) -> list[str]:
    """The meaning of the mark of networks that have not learned, if it is shown."""
    if not any(cell.not_learned or cell.baseline_not_learned for cell in table.cells.values()):
        return []
    return [
        f"`{NOT_LEARNED}`: not learned. In at least one seed the network (at a gain: the baseline) is not better than the "
        "prediction without inputs (for classes the majority): the 95 % interval of the difference over the test examples "
        "reaches 0. A gain over such a baseline is no sign of transfer, and has no test."
    ]


def _negative(table: Table) -> list[str]:
    if table.axis or not table.compared:
        return []
    return [
        f"`{NEGATIVE}`: negative transfer, the mean gain and its whole 95 % interval are below 0. `{PERHAPS}`: mean gain "
        "below 0, not significant: the interval contains 0, or one seed gives no interval."
    ]


def _codes(table: Table) -> list[str]:
    """A sentence if the results were computed by different code, or none."""
    if len(table.codes) < 2:
        return []
    listed = ", ".join(f"{code} ({count} run(s))" for code, count in table.codes.items())
    return [
        f"The results were computed by {len(table.codes)} versions of the code: {listed}. Differences may come from the code; "
        "repeat the older runs."
    ]


def _failures(table: Table) -> list[str]:
    """A sentence per reason, with the folders that failed for it."""
    folders: dict[str, list[str]] = {}
    for folder, reason in table.failures:
        folders.setdefault(reason, []).append(folder)
    return [
        f"Failed, {len(each)} run(s): {', '.join(each[:LISTED])}{', ...' if len(each) > LISTED else ''}: {reason}"
        for reason, each in folders.items()
    ]


def _numbers(table: Table) -> list[str]:
    better = "higher" if table.higher_is_better else "lower"
    interval = (
        f"mean ± half-width of the 95 % confidence interval {'(see below)' if table.draws else 'over seeds (Student t)'}"
        if table.full > 1
        else "one seed, so no interval"
    )
    repeated = "; ".join(f"{key} {', '.join(values)}" for key, values in table.replicates)
    among = f" among the rows of the same {', '.join(table.row_keys[:-1])}" if table.grouped else ""
    levels = [f"Columns: {table.axis.words}."] if table.axis else []
    return [
        f"Metric: {table.metric}, {better} is better; {interval}; n = {table.full} per cell ({repeated}). "
        f"Bold: the best mean of a column{among}.",
        *levels,
    ]


def _selection(table: Table) -> list[str]:
    marked = {"best_target", "oracle"} & {*table.selection}
    oracle = f" (`{ORACLE}`; an oracle for methods that train without target labels)" if marked else ""
    kept = table.selection
    by = "`last`: the final weights; other rules select on validation data. The test split was used once, after each run."
    if {"selection", "selections"} & {*table.column_keys}:
        by = "No rule uses the test split: it was used once, after each run, for all checkpoints that a rule selects."
    told = [
        f"Weights kept: {', '.join(kept) or 'none yet'}. {by} best_target and oracle need labels of the target's validation "
        f"split{oracle}."
    ]
    if "best_mean" in kept:
        told.append(
            "best_mean: one checkpoint for all tasks, with the best mean over the tasks of the metric on each task's "
            "validation split (needs its labels)."
        )
    if "best_each" in kept:
        told.append(
            "best_each: a checkpoint per task, with the best metric on that task's validation split (needs its labels); the "
            "numbers of one run come from several checkpoints."
        )
    return told


def _delta(table: Table) -> list[str]:
    """The definition of `delta_m`, if it is shown."""
    metric = table.metric.partition(".")
    if not (table.tasks and DELTA in table.columns) and metric[0] != DELTA:
        return []
    of = "" if metric[0] == DELTA else f" in {table.metric}"
    single = f" `{SINGLE}` has 0." if table.tasks and SINGLE in table.rows else ""
    unit = "as a fraction" if metric[0] == DELTA else "in percent"
    return [
        f"`{DELTA}`: the mean over the tasks of a run of (joint - single) / single{of}, {unit}, with the sign flipped where "
        f"lower is better; single: the task trained in a separate network. Above 0: joint training is better (Maninis et "
        f"al., CVPR 2019).{single}"
    ]
