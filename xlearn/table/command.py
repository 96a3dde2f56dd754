"""`xlearn table`: selects runs, keys and format, and prints. Nothing heavy is imported before there are results."""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xlearn.config.arguments import config_dir
from xlearn.config.folders import conf_folder, options
from xlearn.runtime.errors import Problem, nearest
from xlearn.table.arguments import FORMATS, Sources, form, keys, sources, where

if TYPE_CHECKING:
    from xlearn.table.cells import Table
    from xlearn.table.collect import Record
    from xlearn.table.definition import Definition

EXPLAINED = """FOLDER: every run below it is read. A NAME takes precedence over a folder of that name (./NAME is the folder).
NAME: a table of conf/table, e.g. digits; missing runs of its sweep are shown too. KEY=VALUE changes the sweep.
KEY: a choice (transfer, sharing, encoder/image) or a path of the configuration (target.shots, seed, optimizer.lr).
FILE.json: a finished table (written by --out FILE.json, or table.json beside the results), printed again.
METRIC: accuracy, nll, ... or a path to any number of the results (per_class.cat.f1, retrieval.image->text.recall@10,
delta_m, tasks.target.nll, cost.parameters).
--columns tasks: the tasks of runs with transfer=joint, each compared with a single-task network, and delta_m.

  xlearn table outputs/default --columns source --where target.shots=5
  xlearn table outputs/default --rows fusion --bounds majority,alone
  xlearn table outputs/default --rows fusion --curve missing --out curve.png
  xlearn table outputs/default --rows balance --columns tasks
  xlearn table digits --run
  xlearn table digits --run budget=quick seed=0,1
"""


def main(arguments: list[str]) -> int:
    """Print the table. Returns 0, 1 after a problem, or the status of the sweep (`--run`) if it failed."""
    try:
        return _main(_parser().parse_intermixed_args(arguments), made_by(arguments))
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
    parser.add_argument("words", nargs="*", metavar="FOLDER | NAME | FILE.json | KEY=VALUE", help="what to show")
    option = parser.add_argument
    option("--rows", metavar="KEY[,KEY]", help="keys of the rows (default: transfer)")
    option("--columns", metavar="KEY[,KEY]", help="keys of the columns (default: target.shots), or tasks")
    option("--metric", help="default: the metric in the runs' configuration")
    option("--against", metavar="ROW", help="the row to test against (default: scratch, or the runs' own baselines)")
    rows = "reference rows: alone (single modalities), comparisons, majority, scratch, single (single tasks), source_only, "
    rows += "target_only, none"
    rows += " (default: alone, comparisons; for --columns tasks: single)"
    option("--bounds", metavar="BOUND[,BOUND]", help=rows)
    curve = "an entry of robustness, e.g. missing: the columns are its levels; --out also .png, .svg, .pdf, .json"
    option("--curve", metavar="NAME", help=curve)
    option("--where", metavar="KEY=VALUE[,VALUE]", action="append", default=[], help="only these runs; repeatable")
    option("--format", choices=FORMATS, help="default: by the suffix of --out, else markdown")
    option("--out", type=Path, metavar="FILE", help="write to this file instead of printing")
    option("--run", action="store_true", help="first compute the missing runs of the table NAME")
    own = "a folder with your own table/NAME.yaml"
    option("--config-dir", "-cd", action="append", default=[], metavar="FOLDER", help=own)
    return parser


def made_by(arguments: Sequence[str]) -> str:
    """The typed command without --out and --format."""
    kept, skip = [], False
    for word in arguments:
        if not skip and word.partition("=")[0] not in ("--out", "--format"):
            kept.append(word)
        skip = not skip and word in ("--out", "--format")
    return shlex.join(["xlearn", "table", *kept])


def _main(given: argparse.Namespace, command: str) -> int:
    given.config_dir = [config_dir("--config-dir", folder) for folder in given.config_dir]
    tables = options("table", [conf_folder(), *given.config_dir])
    words = sources(given.words, tables)
    given.where = [where(each) for each in given.where]
    given.format = given.format or form(given.out, given.curve)
    if given.curve and given.bounds:
        raise Problem("--bounds: a curve has no reference rows, they are not measured on corrupted inputs. Leave it out.")
    if words.file is not None:
        return _written(given, words.file)
    if words.name is not None:
        return _named(given, words, tables[words.name], command)
    if given.run:
        raise Problem("--run needs the name of a table: it computes the table's sweep. " + nearest("", tables))

    from xlearn.table.bounds import chosen
    from xlearn.table.collect import collect
    from xlearn.table.keys import keep
    from xlearn.table.names import named
    from xlearn.table.output import give
    from xlearn.table.tabulate import tabulate

    records = collect(words.folders)
    if not records:
        places = ", ".join(map(str, words.folders))
        raise Problem(f"There are no results in {places}: no run left a result.json or error.txt there.")
    rows, columns = keys(given.rows or "transfer"), keys(given.columns or "target.shots")
    kept = keep(named(records), given.where)
    if given.curve:
        table = _curve(given, kept, rows, columns, given.curve)
    else:
        table = tabulate(kept, rows, columns, given.metric, given.against, added=chosen(given.bounds))
    give(replace(table, command=command), given.format, given.out)
    return 0


def _written(given: argparse.Namespace, file: Path) -> int:
    """Print a finished table from its JSON file."""
    from xlearn.table.data import read_table
    from xlearn.table.output import give

    asked = {"--rows": given.rows, "--columns": given.columns, "--metric": given.metric, "--against": given.against}
    asked |= {"--bounds": given.bounds, "--curve": given.curve, "--where": given.where, "--run": given.run}
    if wrong := [name for name, value in asked.items() if value]:
        raise Problem(f"{wrong[0]}: {file} is a finished table without its runs. Name a folder, or a table of conf/table.")
    give(read_table(file), given.format, given.out)
    return 0


def _curve(
    given: argparse.Namespace, records: "Sequence[Record]", rows: list[str], columns: list[str], name: str,
    definition: "Definition | None" = None,
) -> "Table":  # fmt: skip
    """The curve `name`; row keys are those of the table and its column keys in which the runs differ."""
    from xlearn.table.curve import curve, curve_rows
    from xlearn.table.keys import labels

    shown = curve_rows(records, rows, columns)
    against = given.against
    if against is None and definition is not None and definition.against in labels(records, shown):
        against = definition.against
    return curve(records, shown, name, given.metric, against, in_order=definition is not None)


def _named(given: argparse.Namespace, words: Sources, file: Path, command: str) -> int:
    from xlearn.table.bounds import chosen
    from xlearn.table.definition import read_definition
    from xlearn.table.keys import keep
    from xlearn.table.output import give, keep_beside
    from xlearn.table.sweep import runs
    from xlearn.table.tabulate import tabulate
    from xlearn.table.versions import key

    definition = read_definition(file)
    bounds = definition.bounds if given.bounds is None else chosen(given.bounds)
    status = _run([*definition.commands(words.overrides).values()], given.config_dir) if given.run else 0
    if status >= 128:  # interrupted: return at once
        return status
    try:
        records, folder, others = runs(definition, words.overrides, given.config_dir)
    except Problem:
        if status:  # the sweep has printed it
            return status
        raise
    if all(record.result is None and record.failure is None for record in records):
        if status:
            return status
        beside = " ".join(_others(records, others, folder))
        command = " ".join(["xlearn table", str(words.name), "--run", *words.overrides])
        raise Problem(
            f"There are no results of table {words.name} in {folder} yet. {beside}{' ' * bool(beside)}"
            f"`{command}` computes its {len({key(record) for record in records})} runs."
        )
    rows, columns = keys(given.rows or definition.rows), keys(given.columns or definition.columns)
    kept, notes = keep(records, given.where), tuple(_others(records, others, folder))
    if given.curve and not given.run:
        table = _curve(given, kept, rows, columns, given.curve, definition)
        give(replace(table, notes=(*table.notes, *notes), command=command), given.format, given.out)
        return status
    # `against` in the file names one of the file's rows; it does not apply to --rows.
    against = given.against or (definition.against if not given.rows else None)
    table = tabulate(kept, rows, columns, given.metric or definition.metric, against, in_order=True, added=bounds)
    own = not given.rows and not given.columns
    published = definition.published() if own else ()
    table = replace(table, notes=(*table.notes, *notes), published=published, command=command)
    if given.run:
        found = _curves(given, kept, rows, columns, definition)
        curves = {each.column_keys[0]: replace(each, command=command) for each in found}
        keep_beside(folder, table, curves.values())
        if given.curve:
            table = curves.get(given.curve) or replace(
                _curve(given, kept, rows, columns, given.curve, definition), command=command
            )
    give(table, given.format, given.out)
    return status


def _curves(
    given: argparse.Namespace, records: "Sequence[Record]", rows: list[str], columns: list[str], definition: "Definition"
) -> "Iterator[Table]":
    """Every curve of the runs. A curve that fails is reported in a note; the table is printed nevertheless."""
    from xlearn.table.curve import names

    for name in names(records):
        try:
            yield _curve(given, records, rows, columns, name, definition)
        except Problem as problem:
            print(f"note: no curve {name}: {problem}", file=sys.stderr)


def _others(records: "list[Record]", others: "list[Record]", folder: Path) -> list[str]:
    """A sentence about runs in the sweep's folder that are not of the sweep, or none."""
    from xlearn.table.keys import foreign

    if not others:
        return []
    found = "; ".join(f"{key} {', '.join(values)}" for key, values in foreign(records, others).items())
    return [f"{len(others)} other run(s) in {folder} are not of this sweep ({found}); `xlearn table {folder}` reads all."]


def _run(sweeps: list[list[str]], config_dirs: list[Path]) -> int:
    """Run all jobs of the sweeps; returns the exit status. They print to stderr: stdout is for the table."""
    from xlearn.commands.jobs import jobs
    from xlearn.commands.sweep import run_jobs
    from xlearn.config.compose import register

    register(config_dirs)
    # All sweeps at once: what they have in common is computed once, and the workers are busy until the last run.
    found = {job.folder: job for overrides in sweeps for job in jobs(overrides, config_dirs)}
    with redirect_stdout(sys.stderr):
        return run_jobs([*found.values()])
