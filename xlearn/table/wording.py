"""The words of a table, in whatever format: cell texts and the sentences below. Marks stand in backticks."""

from dataclasses import dataclass

from xlearn.table.cells import DELTA, SINGLE, Table
from xlearn.table.costs import cost_sentence, costs

BETTER, WORSE, NEGATIVE, PERHAPS, ORACLE, FAILED, MISSING = "*↑", "*↓", "neg.", "neg.?", "†", "X", "-"
DECIMALS = 3
LISTED = 5
LARGE = 1000


@dataclass(frozen=True)
class Words:
    """A cell in words: the mean, its interval (or nothing), and the rest."""

    mean: str
    interval: str = ""
    rest: str = ""


def words(table: Table, row: str, column: str) -> Words:
    """A cell without results is X if a run failed, else -. `delta_m` is a gain itself, in percent; as a run learns all its
    tasks at once, its seconds stand there only.
    """
    cell = table.cells[row, column]
    of_all = table.tasks and column == DELTA
    if cell.mean is None:
        return Words(FAILED if cell.failed else MISSING)
    oracle = ORACLE if cell.selection & {"best_target", "oracle"} else ""
    closed = "" if cell.closed is None else f", {100 * cell.closed:.0f} %"
    # What is its own baseline, as the source's network that nothing adapts, has no gain to tell of.
    itself = cell.closed is not None and bool(cell.gains) and not any(cell.gains.values())
    parts = [] if cell.gain is None or of_all or itself else [f"({_figure(cell.gain, '+')}{closed})"]
    if cell.significant:
        parts.append(BETTER if cell.better else WORSE)
    if cell.negative and table.axis is None:
        parts.append(NEGATIVE)
    elif cell.perhaps_negative and table.axis is None:
        parts.append(PERHAPS)
    if cell.n < table.full:
        parts.append(f"n={cell.n}{f',{cell.failed}{FAILED}' if cell.failed else ''}")
    if cell.seconds is not None and (of_all or not table.tasks):
        parts.append(f"{cell.seconds:.{1 if cell.seconds < 100 else 0}f} s")
    half = cell.half_width
    if of_all:
        mean, interval = f"{100 * cell.mean:+.2f} %", "" if half is None else f"± {100 * half:.2f} %"
    else:
        mean, interval = _figure(cell.mean), "" if half is None else f"± {_figure(half)}"
    return Words(f"{mean}{oracle}", interval, " ".join(parts))


def _figure(value: float, sign: str = "") -> str:
    """Numbers of parameters need no decimals."""
    return f"{value:{sign}.{DECIMALS if abs(value) < LARGE else 0}f}"


def heading(table: Table, label: str) -> str:
    """`target.shots=5` for a column; a task's name."""
    if table.tasks:
        return label
    return ", ".join(f"{key}={each}" for key, each in zip(table.column_keys, label.split(", "), strict=False))


def sentences(table: Table) -> list[str]:
    """What a reader must know to read the numbers."""
    own = "the same run on the test split as it is" if table.axis else f"each run's own baseline ({_baselines(table)})"
    if table.tasks:
        own = f"learning the task alone ({SINGLE}{f'; `{DELTA}`: than 0' if DELTA in table.columns else ''})"
    against = f"the row {table.against}" if table.against is not None else own
    found = [*_numbers(table), *_delta(table), *_selection(table), *_parentheses(table)]
    found += [cost_sentence(table)] if costs(table) else []
    if table.tests or table.compared:
        found.append(
            f"`{BETTER}` / `{WORSE}`: better / worse than {against}, paired t test over the shared seeds, p < 0.05 after "
            f"Holm's correction for all {table.tests} test(s) of this table."
        )
    found += [*_negative(table), f"`{FAILED}`: failed. `{MISSING}`: missing. `n=`: fewer results than a complete cell has."]
    if table.differing:
        listed = "; ".join(f"{key} ({', '.join(values[:LISTED])})" for key, values in table.differing.items())
        found.append(f"The runs also differ in what is neither row, column nor seed: {listed}.")
    return [*found, *_codes(table), *_failures(table), *table.notes]


def _baselines(table: Table) -> str:
    return ", ".join(table.baselines) or "scratch"


def _parentheses(table: Table) -> list[str]:
    if table.axis:
        return ["In parentheses: mean change against the same run on the test split as it is, above 0 is better."]
    if table.tasks:
        chain = f"Seconds, under `{DELTA}`: mean per run of all phases of its own chain, for all tasks at once, cached or not"
        return [
            "In parentheses: mean gain over learning this task alone, with the same labels, split, budget and seed; above 0 is "
            "better.",
            *([f"{chain}; {SINGLE}: the sum over the tasks."] if DELTA in table.columns else []),
        ]
    gain = f"In parentheses: mean gain over each run's own baseline ({_baselines(table)}, same seed), above 0 is better. "
    if any(cell.closed is not None for cell in table.cells.values()):
        gain += (
            "Percent: the share of the gap that is closed, from the source's network as it is (0 %) to the target learned from "
            "scratch with the labels of all its training examples and the budget of the transfer (100 %). "
        )
    return [f"{gain if table.compared else ''}Seconds: mean per run of all phases of its own chain, cached or not."]


def _negative(table: Table) -> list[str]:
    if table.axis or not table.compared:
        return []
    return [
        f"`{NEGATIVE}`: negative transfer, the mean gain and its whole 95 % interval are below 0. `{PERHAPS}`: the mean gain "
        "is below 0, but its interval reaches 0, or a single seed has none."
    ]


def _codes(table: Table) -> list[str]:
    """A sentence where results of different code stand side by side, or none."""
    if len(table.codes) < 2:
        return []
    listed = ", ".join(f"{code} ({count} run(s))" for code, count in table.codes.items())
    return [
        f"The results were computed by {len(table.codes)} versions of the code: {listed}. Differences may stem from that; "
        "repeat the older ones."
    ]


def _failures(table: Table) -> list[str]:
    """A sentence per reason: a sweep that fails mostly fails for one."""
    folders: dict[str, list[str]] = {}
    for folder, reason in table.failures:
        folders.setdefault(reason, []).append(folder)
    return [
        f"Failed, {len(each)} run(s): {', '.join(each[:LISTED])}{', ...' if len(each) > LISTED else ''}: {reason}"
        for reason, each in folders.items()
    ]


def _numbers(table: Table) -> list[str]:
    better = "higher" if table.higher_is_better else "lower"
    interval = "mean ± half of its 95 % interval (Student t)" if table.full > 1 else "a single seed, so no interval"
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
    by = "Selection uses validation data only; the test split was used once, at the end of each run."
    if {"selection", "selections"} & {*table.column_keys}:
        by = "No rule sees the test split: it was used once, at the end of each run, for all looks that some rule selects."
    told = [
        f"Weights kept: {', '.join(kept) or 'none yet'}. {by} best_target and oracle need labels of the target's validation "
        f"split{oracle}."
    ]
    if "best_mean" in kept:
        told.append(
            "best_mean: all tasks are predicted with the weights of one epoch, that of the best mean over the tasks of the "
            "metric on each task's own validation split, whose labels it needs."
        )
    if "best_each" in kept:
        told.append(
            "best_each: every task is predicted with the weights of its own best epoch by its own validation split, whose "
            "labels it needs; so the numbers of one run come from as many states of the network."
        )
    return told


def _delta(table: Table) -> list[str]:
    """What `delta_m` is, where it is shown."""
    metric = table.metric.partition(".")
    if not (table.tasks and DELTA in table.columns) and metric[0] != DELTA:
        return []
    of = "" if metric[0] == DELTA else f" in {table.metric}"
    single = f" `{SINGLE}` has 0." if table.tasks and SINGLE in table.rows else ""
    unit = "as a fraction" if metric[0] == DELTA else "in percent"
    return [
        f"`{DELTA}`: the mean over the tasks of a run of (value - value alone) / value alone{of}, with the sign turned where "
        f"lower is better, {unit}; alone is the same task learned in a network of its own. Above 0: learning together is "
        f"better (Maninis et al., CVPR 2019).{single}"
    ]
