"""Output of a table: to stdout, to a file, or in every format beside the results."""

import sys
from collections.abc import Iterable
from pathlib import Path

from xlearn.runtime.storage import is_stream, write_text
from xlearn.table.cells import Table
from xlearn.table.data import as_json
from xlearn.table.render import FORMATS, SUFFIXES, markdown


def give(table: Table, form: str, out: Path | None) -> None:
    """Print it, or write it to `out` and print the name of the file."""
    if form == "picture" and out is not None:
        from xlearn.table.plot import draw

        draw(table, out.expanduser())
        _name(out)
        return
    text = FORMATS[form](table)
    if out is not None:
        write_text(out.expanduser(), text)
        _name(out)
        return
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without ± shows ? instead of a traceback
    print(text.encode(encoding, "replace").decode(encoding), end="")


def _name(out: Path) -> None:
    if not is_stream(out.expanduser()):  # its reader gets the table alone
        print(out)


def keep_beside(folder: Path, table: Table, curves: Iterable[Table]) -> None:
    """Write `table.*` in every format, and `curve_<name>.json`, `.md` and `.png` for each curve."""
    from xlearn.table.plot import draw

    for name, render in FORMATS.items():
        write_text(folder / f"table{SUFFIXES[name]}", render(table))
    for each in curves:
        start = f"curve_{each.column_keys[0]}"
        write_text(folder / f"{start}.json", as_json(each))
        write_text(folder / f"{start}.md", markdown(each))
        draw(each, folder / f"{start}.png")
