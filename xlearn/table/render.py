"""A table as text: Markdown, LaTeX, CSV and HTML."""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from xlearn.runtime.printable import in_one_line, no_formula
from xlearn.table.cells import DELTA, Cell, Table
from xlearn.table.costs import FIELDS, costs
from xlearn.table.data import as_json
from xlearn.table.wording import heading, sentences, words

PUBLISHED = "Published numbers, each under its own protocol; not tested against"


def markdown(table: Table) -> str:
    """A pipe table, and its notes below."""
    parts = [pipes(table)]
    if table.published:
        parts.append(f"{PUBLISHED}:\n\n{_pipes(*_published(table))}")
    parts.append("\n".join(f"- {without_tags(in_one_line(sentence))}" for sentence in sentences(table)))
    return "\n\n".join(parts) + "\n"


def pipes(table: Table) -> str:
    """The pipe table without notes; bold is the best mean of a column."""

    def cell(row: str, column: str) -> str:
        found, best = words(table, row, column), table.cells[row, column].best
        mean = f"**{found.mean}**" if best else found.mean
        return " ".join(filter(None, (mean, found.interval, found.rest)))

    found = costs(table)
    body = [[row, *(cell(row, column) for column in table.columns), *_costly(found, row)] for row in table.rows]
    return _pipes(_head(table), body)


def _head(table: Table) -> list[str]:
    return [", ".join(table.row_keys), *(heading(table, column) for column in table.columns), *costs(table)]


def _costly(found: Mapping[str, Mapping[str, str]], row: str) -> list[str]:
    """The texts of a row in the cost columns."""
    return [each[row] for each in found.values()]


def _pipes(head: list[str], body: list[list[str]]) -> str:
    escaped = [[in_markdown(text) for text in line] for line in (head, *body)]
    widths = [max(len(line[i]) for line in escaped) for i in range(len(head))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in escaped]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def in_markdown(text: str) -> str:
    """Text in a cell of a pipe table: no ends of cells or lines, no HTML."""
    return without_tags(re.sub(r"\\*\|", lambda found: "\\\\" * (len(found[0]) - 1) + r"\|", in_one_line(text)))


def without_tags(text: str) -> str:
    """Text of Markdown in which nothing is HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def _published(table: Table) -> tuple[list[str], list[list[str]]]:
    head = [", ".join(table.row_keys), ", ".join(table.column_keys), table.metric, "protocol"]
    return head, [[each["row"], each["column"], f"{each['value']:g}", str(each["protocol"])] for each in table.published]


SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}",  # after the end of a row, LaTeX would take it for an option
    "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Plain text escaped for LaTeX; text in backticks becomes typewriter."""
    parts = ["".join(SPECIAL.get(each, each) for each in part) for part in in_one_line(text).split("`")]
    return "".join(rf"\texttt{{{part}}}" if position % 2 else part for position, part in enumerate(parts))


def latex(table: Table) -> str:
    r"""A `table` environment; the document needs `\usepackage{booktabs}`."""

    def cell(row: str, column: str) -> str:
        found, best = words(table, row, column), table.cells[row, column].best
        mean = rf"\textbf{{{escaped(found.mean)}}}" if best else escaped(found.mean)
        first = " ".join(filter(None, (mean, escaped(found.interval))))
        return rf"\shortstack{{{first}\\{{\scriptsize {escaped(found.rest)}}}}}" if found.rest else first

    found = costs(table)
    body = [[escaped(row), *(cell(row, column) for column in table.columns), *_costly(found, row)] for row in table.rows]
    columns = "l" + "c" * len(table.columns) + "r" * len(found)
    parts = [_tabular([escaped(each) for each in _head(table)], body, columns)]
    if table.published:
        names, lines = _published(table)
        parts += [
            rf"\par\medskip {escaped(PUBLISHED)}:\par\smallskip",
            _tabular([*map(escaped, names)], [[*map(escaped, line)] for line in lines], r"llcp{0.4\linewidth}"),
        ]
    notes = "\\par\n".join(escaped(sentence) for sentence in sentences(table))
    return "\n".join([
        r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering", *parts, r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize", notes, r"\end{minipage}", r"\end{table}", "",
    ])  # fmt: skip


def _tabular(head: list[str], body: list[list[str]], columns: str) -> str:
    lines = [" & ".join(line) + r" \\" for line in body]
    begin = rf"\begin{{tabular}}{{{columns}}}"
    head_line = " & ".join(head) + r" \\"
    return "\n".join([begin, r"\toprule", head_line, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"])


def csv(table: Table) -> str:
    """One line per cell with exact numbers; `p` and `p_holm` are of the paired test. Published numbers, the components of
    crossed designs, and costs if shown, are further columns.
    """
    import pandas

    published = {(each["row"], each["column"]): each for each in table.published}
    places = dict.fromkeys([*table.cells, *published])
    lines = [_line(table, *place, published.get(place, {})) for place in places]
    if any(cell.crossed for cell in table.cells.values()):
        for line, place in zip(lines, places, strict=True):
            line |= _design(table.cells.get(place, Cell()))
    for name in costs(table):
        for line, place in zip(lines, places, strict=True):
            line[FIELDS[name]] = getattr(table.cells.get(place, Cell()), FIELDS[name])
    return pandas.DataFrame([{name: no_formula(value) for name, value in line.items()} for line in lines]).to_csv(index=False)


def _line(table: Table, row: str, column: str, published: Mapping[str, Any]) -> dict[str, Any]:
    cell = table.cells.get((row, column), Cell())
    return {
        "row": row,
        "column": column,
        "n": cell.n,
        "mean": cell.mean,
        **_interval(cell.mean, cell.half_width, "low", "high"),
        "gain": cell.gain,
        "p": cell.p,
        "p_holm": cell.p_holm,
        "negative": cell.negative,
        "not_learned": cell.not_learned,
        "baseline_not_learned": cell.baseline_not_learned,
        "seconds": cell.seconds,
        "failed": cell.failed,
        "missing": cell.missing,
        **_interval(cell.gain, cell.gain_half_width, "gain_low", "gain_high"),
        "metric": f"{DELTA}.{table.metric}" if table.tasks and column == DELTA else table.metric,
        "against": table.against or ("level 0" if table.axis else "baseline"),
        "selection": "+".join(sorted(cell.selection)),
        "published": published.get("value"),
        "protocol": published.get("protocol"),
    }


def _design(cell: Cell) -> dict[str, Any]:
    """The numbers of draws, seeds and resampled test rows of a crossed cell, and its variance components."""
    if (found := cell.crossed) is None:
        return {}
    parts = found.components
    variances = {} if parts is None else {f"variance_{name}": getattr(parts, name) for name in ("draw", "seed", "rest")}
    return {"draws": found.draws, "seeds": found.seeds, "test_rows": found.test_rows, "degrees": found.degrees, **variances}


def _interval(middle: float | None, half: float | None, low: str, high: str) -> dict[str, float | None]:
    if middle is None or half is None:
        return {low: None, high: None}
    return {low: middle - half, high: middle + half}


STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1b1b;background:#fff}
.wide{overflow-x:auto} table{border-collapse:collapse;border-top:2px solid;border-bottom:2px solid;margin:1em 0}
th,td{padding:.4em .9em;text-align:left;vertical-align:top} thead th{border-bottom:1px solid} td small{display:block;color:#555}
tr:nth-child(even) td,tr:nth-child(even) th{background:#f5f5f5} li{margin:.2em 0}"""


def in_html(text: str) -> str:
    return html.escape(in_one_line(text))


def web(table: Table) -> str:
    """A complete HTML page."""

    def cell(row: str, column: str) -> str:
        found, best = words(table, row, column), table.cells[row, column].best
        mean = f"<b>{in_html(found.mean)}</b>" if best else in_html(found.mean)
        rest = f"<small>{in_html(found.rest)}</small>" if found.rest else ""
        return f"<td>{mean} {in_html(found.interval)}{rest}</td>"

    found = costs(table)
    costly = {row: "".join(f"<td>{in_html(each)}</td>" for each in _costly(found, row)) for row in table.rows}
    cells = {row: "".join(cell(row, column) for column in table.columns) for row in table.rows}
    body = [f"<th>{in_html(row)}</th>{cells[row]}{costly[row]}" for row in table.rows]
    parts = [_grid(_head(table), body)]
    if table.published:
        names, lines = _published(table)
        parts.append(f"<p>{in_html(PUBLISHED)}:</p>")
        parts.append(_grid(names, ["".join(f"<td>{in_html(each)}</td>" for each in line) for line in lines]))
    parts.append("<ul>" + "\n".join(f"<li>{_code(sentence)}</li>" for sentence in sentences(table)) + "</ul>")
    title = in_html(f"{table.metric} by {', '.join(table.row_keys)} and {', '.join(table.column_keys)}")
    start = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    return "\n".join([start, f"<style>{STYLE}</style></head><body><h1>{title}</h1>", *parts, "</body></html>", ""])


def _grid(head: list[str], body: list[str]) -> str:
    names = "".join(f"<th>{in_html(each)}</th>" for each in head)
    lines = "\n".join(f"<tr>{line}</tr>" for line in body)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _code(sentence: str) -> str:
    parts = in_html(sentence).split("`")
    return "".join(f"<code>{part}</code>" if position % 2 else part for position, part in enumerate(parts))


FORMATS: dict[str, Callable[[Table], str]] = {"markdown": markdown, "latex": latex, "csv": csv, "html": web, "json": as_json}
SUFFIXES = {"markdown": ".md", "latex": ".tex", "csv": ".csv", "html": ".html", "json": ".json"}
