"""The words of a table, in whatever format: cell texts and the sentences below. Marks stand in backticks."""

from dataclasses import dataclass

from xlearn.table.cells import Cell, Table

BETTER, WORSE, NEGATIVE, PERHAPS, ORACLE, FAILED, MISSING = "*↑", "*↓", "neg.", "neg.?", "†", "X", "-"
DECIMALS = 3
LISTED = 5


@dataclass(frozen=True)
class Words:
    """A cell in words: the mean, its interval (or nothing), and the rest."""

    mean: str
    interval: str = ""
    rest: str = ""


def words(table: Table, cell: Cell) -> Words:
    """A cell without results is X if a run failed, else -."""
    if cell.mean is None:
        return Words(FAILED if cell.failed else MISSING)
    oracle = ORACLE if "best_target" in cell.selection else ""
    parts = [] if cell.gain is None else [f"({cell.gain:+.{DECIMALS}f})"]
    if cell.significant:
        parts.append(BETTER if cell.better else WORSE)
    if cell.negative and table.axis is None:
        parts.append(NEGATIVE)
    elif cell.perhaps_negative and table.axis is None:
        parts.append(PERHAPS)
    if cell.n < table.full:
        parts.append(f"n={cell.n}{f',{cell.failed}{FAILED}' if cell.failed else ''}")
    if cell.seconds is not None:
        parts.append(f"{cell.seconds:.{1 if cell.seconds < 100 else 0}f} s")
    half = cell.half_width
    return Words(f"{cell.mean:.{DECIMALS}f}{oracle}", "" if half is None else f"± {half:.{DECIMALS}f}", " ".join(parts))


def heading(keys: tuple[str, ...], label: str) -> str:
    """`target.shots=5` for a column."""
    return ", ".join(f"{key}={each}" for key, each in zip(keys, label.split(", "), strict=False))


def sentences(table: Table) -> list[str]:
    """What a reader must know to read the numbers."""
    own = "the same run on the test split as it is" if table.axis else f"each run's own baseline ({_baselines(table)})"
    against = f"the row {table.against}" if table.against is not None else own
    found = [*_numbers(table), *_selection(table), *_parentheses(table)]
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
    gain = f"In parentheses: mean gain over each run's own baseline ({_baselines(table)}, same seed), above 0 is better. "
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
    levels = [f"Columns: {table.axis.words}."] if table.axis else []
    return [
        f"Metric: {table.metric}, {better} is better; {interval}; n = {table.full} per cell ({repeated}). "
        "Bold: the best mean of a column.",
        *levels,
    ]


def _selection(table: Table) -> list[str]:
    oracle = (
        f" (`{ORACLE}`; an oracle for methods that train without target labels)" if "best_target" in table.selection else ""
    )
    return [
        f"Weights kept: {', '.join(table.selection) or 'none yet'}. Selection uses validation data only; the test split was "
        f"used once, at the end of each run. best_target needs labels of the target's validation split{oracle}."
    ]
