"""A curve as a picture. matplotlib is imported when one is drawn, and draws into files only."""

import itertools
from pathlib import Path
from typing import Any

from xlearn.runtime.storage import write_atomically
from xlearn.table.cells import Table

# Okabe & Ito (2008), safe for colour blindness; without yellow, which is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p", "d", "8", "H")
STYLES = ("-", "--", ":")
BANDS = 4  # more rows than that have bars: bands would cover each other
SPREAD = 0.5  # rows with bars are shifted within this share of the distance between two levels
SUFFIXES = (".png", ".svg", ".pdf")


def draw(table: Table, file: Path) -> None:
    """One line per row with its 95 % intervals, and a legend beside it in the order in which the lines end.

    The suffix of `file` (one of `SUFFIXES`) is the format.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert table.axis is not None
    levels = [float(column) for column in table.columns]
    with matplotlib.rc_context({"font.size": 10, "svg.hashsalt": "xlearn", "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure = Figure(figsize=(8.6, max(4.4, 0.9 + 0.26 * len(table.rows))), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for number, row in enumerate(table.rows):
            _line(axes, table, row, levels, number)
        better = "higher" if table.higher_is_better else "lower"
        axes.set_xlabel(table.axis.words[:1].upper() + table.axis.words[1:])
        axes.set_ylabel(f"{table.metric.replace('_', ' ')} ({better} is better)")
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        interval = ", mean and 95 % interval" if table.full > 1 else ", a single seed"
        # A title of the figure: one of the axes may overlap the legend.
        figure.suptitle(f"{table.metric.replace('_', ' ').capitalize()} {table.axis.title}{interval}", x=0.01, ha="left")
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        handles, texts = axes.get_legend_handles_labels()
        order = sorted(range(len(texts)), key=lambda place: _end(table, texts[place]), reverse=True)
        figure.legend(
            [handles[place] for place in order], [texts[place] for place in order], loc="outside right center",
            title=", ".join(table.row_keys), frameon=False, handlelength=3.2, alignment="left",
        )  # fmt: skip
        write_atomically(file, lambda temporary: _save(figure, temporary, file.suffix[1:]))


def _line(axes: Any, table: Table, row: str, levels: list[float], number: int) -> None:
    cells = [table.cells[row, column] for column in table.columns]
    there = [
        (level, mean, each.half_width) for level, each in zip(levels, cells, strict=True) if (mean := each.mean) is not None
    ]
    if not there:
        return
    places, means = [place for place, _, _ in there], [mean for _, mean, _ in there]
    colour = COLOURS[number % len(COLOURS)]
    crowded = len(table.rows) > BANDS
    if crowded:  # side by side, so that the bars do not hide each other
        gap = min((after - before for before, after in itertools.pairwise(levels)), default=1.0)
        shift = (number / (len(table.rows) - 1) - 0.5) * SPREAD * gap
        there = [(level + shift, mean, half) for level, mean, half in there]
    places, means = [level for level, _, _ in there], [mean for _, mean, _ in there]
    halves = [half or 0.0 for _, _, half in there]
    look = {
        "color": colour, "marker": MARKERS[number % len(MARKERS)], "linestyle": STYLES[number // len(COLOURS) % len(STYLES)],
        "markersize": 4 if crowded else 5, "linewidth": 1.2 if crowded else 1.6, "label": row,
    }  # fmt: skip
    axes.plot(places, means, **look)
    if not any(halves):
        return
    if crowded:
        axes.errorbar(places, means, yerr=halves, fmt="none", ecolor=colour, elinewidth=0.9, alpha=0.6)
        return
    low, high = [m - h for m, h in zip(means, halves, strict=True)], [m + h for m, h in zip(means, halves, strict=True)]
    axes.fill_between(places, low, high, color=colour, alpha=0.13, linewidth=0)


def _end(table: Table, row: str) -> float:
    means = [table.cells[row, column].mean for column in table.columns]
    return next((mean for mean in reversed(means) if mean is not None), float("-inf"))


def _save(figure: Any, file: Path, form: str) -> None:
    # Without date and versions, so that the same numbers give the same file.
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "Producer": None}}[form]
    figure.savefig(file, format=form, metadata=metadata)
