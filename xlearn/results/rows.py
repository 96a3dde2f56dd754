"""The rows of a task's splits: which have labels, and which classes lack them."""

from typing import Any

from xlearn.data.task import Task

# Classes without rows that are listed.
MOST = 20


def rows_of(task: Task) -> dict[str, Any]:
    """For the notes of a task: `with_labels` and `without_labels`, the numbers of its rows with a label and without (where some
    have none), and `lacking`: by split the classes without a row in it, of splits with labels.
    """
    found: dict[str, Any] = {}
    if task.labelled is not None:
        parts = (task.train, task.val, task.unlabeled, task.test.examples)
        every = sum(len(each) for each in parts)
        known = sum(len(task.with_labels(each)) for each in parts)
        found |= {"with_labels": known, "without_labels": every - known}
    if task.labels.group and task.labels.classes:
        splits = {"training": task.train, "validation": task.val, "test": task.test.examples}
        lacking = {}
        for name, examples in splits.items():
            counts = task.labels.counts(examples.labels).tolist() if len(examples) else []
            if absent := [each for each, count in zip(task.labels.classes, counts, strict=False) if count == 0]:
                lacking[name] = absent if len(absent) <= MOST else [*absent[:MOST], f"and {len(absent) - MOST} more"]
        found |= {"lacking": lacking} if lacking else {}
    return found


def counted(task: Task) -> str:
    """The rows of a task in one line, before it is learned: `30 examples of 3 classes: 6 test, 3 validation, 15 labelled
    (5 per class), 6 unlabelled`.
    """
    test, val, train, rest = len(task.test), len(task.val), len(task.train), len(task.unlabeled)
    kinds = f" of {len(task.labels.classes)} classes" if task.labels.group and task.labels.classes else ""
    parts = [f"{test:,} test", f"{val:,} validation", f"{train:,} labelled"]
    if task.labels.group and train:
        counts = task.class_counts()
        low, high = int(counts.min()), int(counts.max())
        parts[-1] += f" ({low if low == high else f'{low} to {high}'} per {task.labels.group})"
    without = rest - len(task.with_labels(task.unlabeled))
    parts += [f"{rest:,} unlabelled" + (f" ({without:,} have no label)" if 0 < without < rest else "")] if rest else []
    if not task.measurable:
        return f"target: {rest:,} examples{kinds}, none with a label: nothing can be measured on them, they are predicted"
    return f"target: {test + val + train + rest:,} examples{kinds}: {', '.join(parts)}"
