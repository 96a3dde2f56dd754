"""`xlearn table`: which runs, by which keys, in which format. Nothing heavy is imported before there are results."""

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xlearn.config.arguments import config_dir
from xlearn.config.folders import conf_folder, options
from xlearn.errors import Problem, nearest

if TYPE_CHECKING:
    from xlearn.table.cells import Table
    from xlearn.table.collect import Record

FORMATS = ("markdown", "latex", "csv", "html")
EXPLAINED = """FOLDER: every run below it is read. A NAME comes before a folder of the same name (./NAME is the folder).
NAME: a table of conf/table, e.g. digits: its sweep is known, so what is missing is shown. KEY=VALUE changes the sweep.
KEY: a choice (transfer, sharing, encoder/image) or a path of the configuration (target.shots, seed, optimizer.lr).

  xlearn table outputs/default --columns source --where target.shots=5
  xlearn table digits --run
  xlearn table digits --run budget=quick seed=0,1
"""


@dataclass(frozen=True)
class Sources:
    """What the words on the command line stand for."""

    folders: list[Path]
    name: str | None
    overrides: list[str]


def main(arguments: list[str]) -> int:
    """Print the table. Returns 0, 1 after a problem, or the status of the sweep (`--run`) if it failed."""
    try:
        return _main(_parser().parse_intermixed_args(arguments))
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}.", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xlearn table",
        description="Results as a table: mean and 95 % interval over seeds, gain, paired test, negative transfer, seconds.",
        epilog=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="FOLDER | NAME | KEY=VALUE", help="what to show")
    option = parser.add_argument
    option("--rows", metavar="KEY[,KEY]", help="what the rows are (default: transfer)")
    option("--columns", metavar="KEY[,KEY]", help="what the columns are (default: target.shots)")
    option("--metric", help="default: the metric that the runs were made for")
    option("--against", metavar="ROW", help="the row to test against (default: scratch, or the runs' own baselines)")
    option("--where", metavar="KEY=VALUE[,VALUE]", action="append", default=[], help="only these runs; repeatable")
    option("--format", choices=FORMATS, help="default: markdown, or what the ending of --out says")
    option("--out", type=Path, metavar="FILE", help="write to this file instead of printing")
    option("--run", action="store_true", help="first compute what is missing of the table NAME")
    own = "a folder of your own with table/NAME.yaml"
    option("--config-dir", "-cd", action="append", default=[], metavar="FOLDER", help=own)
    return parser


def _main(given: argparse.Namespace) -> int:
    given.config_dir = [config_dir("--config-dir", folder) for folder in given.config_dir]
    tables = options("table", [conf_folder(), *given.config_dir])
    sources = _sources(given.words, tables)
    filters = [_filter(each) for each in given.where]
    form = given.format or _form(given.out)
    if sources.name is not None:
        return _named(given, sources, tables[sources.name], filters, form)
    if given.run:
        raise Problem("--run needs the name of a table, whose sweep it computes. " + nearest("", tables))

    from xlearn.table.collect import collect
    from xlearn.table.keys import keep
    from xlearn.table.tabulate import tabulate

    records = collect(sources.folders)
    if not records:
        places = ", ".join(map(str, sources.folders))
        raise Problem(f"There are no results in {places}: no run left a result.json or error.txt there.")
    rows, columns = _keys(given.rows or "transfer"), _keys(given.columns or "target.shots")
    _give(tabulate(keep(records, filters), rows, columns, given.metric, given.against), form, given.out)
    return 0


def _named(given: argparse.Namespace, sources: Sources, file: Path, filters: list[tuple[str, str]], form: str) -> int:
    from xlearn.table.keys import keep
    from xlearn.table.sweep import read_definition, runs
    from xlearn.table.tabulate import tabulate

    definition = read_definition(file)
    status = _run(definition.overrides(sources.overrides), given.config_dir) if given.run else 0
    if status >= 128:  # interrupted: whoever did it wants the prompt back
        return status
    try:
        records, folder, others = runs(definition, sources.overrides, given.config_dir)
    except Problem:
        if status:  # the sweep has told it
            return status
        raise
    if all(record.result is None and record.failure is None for record in records):
        if status:
            return status
        beside = " ".join(_others(records, others, folder))
        command = " ".join(["xlearn table", str(sources.name), "--run", *sources.overrides])
        raise Problem(
            f"There are no results of table {sources.name} in {folder} yet. {beside}{' ' * bool(beside)}"
            f"`{command}` computes its {len(records)} runs."
        )
    # A row that only the file's own rows have is no row of others.
    against = given.against or (definition.against if not given.rows else None)
    rows, columns = _keys(given.rows or definition.rows), _keys(given.columns or definition.columns)
    table = tabulate(keep(records, filters), rows, columns, given.metric or definition.metric, against, in_order=True)
    own = not given.rows and not given.columns
    notes = tuple(_others(records, others, folder))
    table = replace(table, notes=notes, published=definition.published() if own else ())
    if given.run:
        from xlearn.storage import write_text
        from xlearn.table.render import FORMATS as RENDERED
        from xlearn.table.render import SUFFIXES

        for name, render in RENDERED.items():
            write_text(folder / f"table{SUFFIXES[name]}", render(table))
    _give(table, form, given.out)
    return status


def _others(records: "list[Record]", others: "list[Record]", folder: Path) -> list[str]:
    """A sentence about runs that lie in the sweep's folder without belonging to it, or none."""
    from xlearn.table.keys import foreign

    if not others:
        return []
    found = "; ".join(f"{key} {', '.join(values)}" for key, values in foreign(records, others).items())
    return [f"{len(others)} other run(s) in {folder} are not of this sweep ({found}); `xlearn table {folder}` reads all."]


def _run(overrides: list[str], config_dirs: list[Path]) -> int:
    """The sweep, in this process. What it says goes to stderr: stdout is for the table."""
    from xlearn.train import main as train

    flags = [word for folder in config_dirs for word in ("--config-dir", str(folder))]
    with redirect_stdout(sys.stderr):
        return train(["-m", *flags, *overrides])


def _give(table: "Table", form: str, out: Path | None) -> None:
    from xlearn.storage import write_text
    from xlearn.table.render import FORMATS as RENDERED

    text = RENDERED[form](table)
    if out is not None:
        write_text(out.expanduser(), text)
        print(out)
        return
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without ± shows ? instead of a traceback
    print(text.encode(encoding, "replace").decode(encoding), end="")


def _sources(words: list[str], tables: dict[str, Path]) -> Sources:
    folders: list[Path] = []
    names: list[str] = []
    overrides: list[str] = []
    for word in words:
        if word in tables:
            names.append(word)
        elif Path(word).expanduser().is_dir():
            folders.append(Path(word).expanduser())
        elif "=" in word:
            overrides.append(word)
        else:
            raise Problem(f"{word} is neither a folder nor a table. {nearest(word, tables)}")
    if not folders and not names:
        raise Problem(f"Say what to show: a folder of results (outputs), or a table: {', '.join(tables)}.")
    if names and (folders or len(names) > 1):
        raise Problem(f"{' '.join(words)}: show one table, or folders. ./{names[0]} is the folder of that name.")
    if overrides and not names:
        raise Problem(f"{overrides[0]} is no folder. To show only these runs, write --where {overrides[0]}.")
    return Sources(folders, names[0] if names else None, overrides)


def _keys(text: str) -> list[str]:
    keys = [each.strip() for each in text.split(",") if each.strip()]
    if not keys:
        raise Problem("--rows and --columns need a key each, such as transfer or target.shots.")
    return keys


def _filter(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Problem(f"--where {text}: write KEY=VALUE, such as target.shots=5.")
    return key, value


def _form(out: Path | None) -> str:
    suffixes = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"}
    return suffixes.get(out.suffix, "markdown") if out is not None else "markdown"
