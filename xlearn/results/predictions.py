"""`predictions.csv`: what a run predicts, a row for each example, for people and spreadsheets."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from xlearn.data.task import Examples, Task
from xlearn.runtime.printable import no_formula
from xlearn.runtime.storage import write_text

PREDICTIONS = "predictions.csv"
# Names of tensors of a measurement that are no prediction.
OTHERS = ("labels", "rows")


def write_predictions(folder: Path, task: Task, examples: Examples, tensors: Mapping[str, Tensor]) -> None:
    """Write the predictions of a test split, or of all examples of a task without labels. Columns: `name` (of the row: a file
    below its folder, or as the loader names it, else its number from 0), `label` where there is one, and those of the label
    space (`LabelSpace.written`). Nothing for ways of measuring without one prediction for each example, as episodes.
    """
    given = {name: each for name, each in tensors.items() if name not in OTHERS}
    rows = tensors.get("rows")
    if rows is None or rows.ndim != 1 or any(len(each) != len(rows) for each in given.values()) or not given:
        return
    if len(rows) != len(examples):
        return
    space = task.labels
    reduced = space.reduced(given["logits"], examples.labels.clamp_min(0)) if "logits" in given else given
    names = [task.names[row] if task.names else str(row) for row in rows.tolist()]
    columns: dict[str, list[str]] = {"name": names}
    if task.measurable:
        columns["label"] = space.written_labels(examples.labels)
    columns |= space.written(reduced)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([no_formula(each) for each in columns])
    writer.writerows([no_formula(each) for each in line] for line in zip(*columns.values(), strict=True))
    write_text(folder / PREDICTIONS, text.getvalue())
