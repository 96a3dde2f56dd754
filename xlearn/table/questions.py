"""Notes below a table whose runs have draws: which question each interval answers, and which one the stars use."""

from collections.abc import Iterable

from xlearn.table.cells import Cell, Table
from xlearn.table.crossed import RESAMPLES, Components
from xlearn.table.designs import crossing

DRAWS = "draws of labels and split (target.draw)"
SEEDS = "seeds (initial weights, order of batches)"


def deviations(found: Components, unit: float = 1) -> str:
    """The components as standard deviations, for a cell."""
    named = ((name, unit * getattr(found, name) ** 0.5) for name in ("draw", "seed", "rest"))
    return f"sd: {', '.join(f'{name} {value:.3f}' for name, value in named)}"


def test_words(table: Table) -> str:
    """The test of the stars."""
    tests = {cell.difference is not None for cell in table.cells.values() if cell.p is not None}
    words = []
    if True in tests:
        words.append(
            "mean difference of runs of the same draw, seed and test rows over its error by the crossed bootstrap (Student t), "
            "for new ones of all three"
        )
    if tests != {True}:
        words.append("paired t test over the shared seeds" if not table.draws else "paired t test over the shared runs")
    return "; where runs do not cross draws with seeds: ".join(words)


def questions(table: Table) -> list[str]:
    """The sentences; none for a table without draws, whose seeds draw labels and split too."""
    if not table.draws:
        return []
    crossed = [cell for cell in table.cells.values() if cell.crossed is not None]
    return [*_crossed(crossed), *_parts(crossed), *_others(table)]


def _crossed(cells: list[Cell]) -> list[str]:
    designs = [cell.crossed for cell in cells if cell.crossed is not None]
    if not designs:
        return []
    rows = sum(each.test_rows > 0 for each in designs)
    over = f"{DRAWS}, {SEEDS}"
    over += " and test rows of these data" if rows else ", for these test rows"
    sizes = _listed(f"{each.draws} x {each.seeds}" for each in designs)
    found = [
        f"± where draws are crossed with seeds ({sizes}): the error of the mean over new {over}. Crossed bootstrap, "
        f"{RESAMPLES:,} resamples (Owen & Eckles, Ann. Appl. Stat. 2012), and Student t with Satterthwaite's degrees of "
        "freedom; mildly conservative."
    ]
    if 0 < rows < len(designs):
        found.append(
            f"{len(designs) - rows} of these {len(designs)} intervals are for these test rows: the metric is no mean "
            "over test rows, or predictions are missing."
        )
    elif not rows:
        found.append("No test rows are resampled: the metric is no mean over test rows, or predictions are missing.")
    if missing := sum(each.runs < each.draws * each.seeds for each in designs):
        found.append(
            f"{missing} cell(s) lack combinations of draw and seed: their means, components and intervals are of the runs "
            "that there are."
        )
    return found


def _parts(cells: list[Cell]) -> list[str]:
    found = [cell.crossed.components for cell in cells if cell.crossed is not None]
    parts = [each for each in found if each is not None]
    if not found:
        return []
    told = []
    if parts:
        text = (
            "`sd`: standard deviations between draws, between seeds, and of the rest (interaction, and chance in training); "
            "two-way random effects by the method of moments."
        )
        if clipped := [name for each in parts for name in each.clipped]:
            listed = ", ".join(f"{name} in {clipped.count(name)}" for name in dict.fromkeys(clipped))
            text += f" An estimate below 0 is set to 0 ({listed} of {len(parts)} cell(s))."
        told.append(text)
    if len(parts) < len(found):
        told.append(f"{len(found) - len(parts)} cell(s) have no `sd`: too few of their draws share seeds.")
    return told


def _others(table: Table) -> list[str]:
    """A sentence for each other kind of cell: one draw, one seed, or a seed for each draw."""
    kinds: dict[str, None] = {}
    for cell in table.cells.values():
        if cell.crossed is None and cell.n > 1:
            draws, seeds = ({crossing(each)[place] for each in cell.values} for place in (0, 1))
            if len(draws) == 1:
                kinds[f"± of one draw ({', '.join(draws)}): over {SEEDS}, for these labels and this split (Student t)."] = None
            elif len(seeds) == 1:
                kinds[f"± of one seed ({', '.join(seeds)}): over {DRAWS}, for these initial weights (Student t)."] = None
            else:
                kinds["± of runs with a seed for each draw: over draws and seeds together (Student t)."] = None
    return [*kinds]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
