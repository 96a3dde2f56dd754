"""The table at the end of `xlearn train -m`: the runs of the sweep, by the keys that were swept."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xlearn.config.schema import REPLICATES
from xlearn.runtime.errors import Problem

if TYPE_CHECKING:
    from xlearn.commands.jobs import Job

ROWS, COLUMNS = "transfer", "target.shots"


def show(jobs: "Sequence[Job]") -> None:
    """Print the results of the jobs as a table: the key that was swept first in the rows, the others in the columns, replicates
    averaged. Nothing is printed for a single run, or if no run has a result.
    """
    from xlearn.table.collect import collect
    from xlearn.table.names import renamed
    from xlearn.table.output import give
    from xlearn.table.tabulate import tabulate

    found = {record.folder.resolve(): record for record in collect([job.folder for job in jobs])}
    names = [each for job in jobs for each in job.every() if job.folder.resolve() in found]
    records = [renamed(found[each.folder.resolve()], each.content["choices"]) for each in names]
    if len(records) < 2 or not any(record.result for record in records):
        return
    swept = [key for key in dict.fromkeys(_key(word) for each in names for word in each.overrides) if key not in REPLICATES]
    rows, columns = swept[:1] or [ROWS], swept[1:] or [COLUMNS]
    if rows == columns:
        columns = [ROWS]
    try:
        table = tabulate(records, rows, columns, None, None, in_order=True)
        print()
        give(table, "markdown", None)
    except Problem as problem:
        print(f"note: no table: {problem}", file=sys.stderr)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
