"""From loaders to tasks: bring every modality into its format, split, remap labels."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from xlearn.data import copies as copied
from xlearn.data.columns import Column
from xlearn.data.leak_report import near_notes
from xlearn.data.modalities import Format, Pool
from xlearn.data.shared import shared
from xlearn.data.split_notes import split_notes
from xlearn.data.splits import chosen_groups
from xlearn.data.task import Examples, Sealed, Task
from xlearn.data.task_source import TaskSource, copies, modalities, origin, raw, rows, training_rows
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest
from xlearn.runtime.memory import Kept

# Converted data are kept for the next run in this process; of a data set's modality the forms that were read last.
FORMS = 4
_adapted: Kept[Kept[tuple[Column, dict[str, Any]]]] = Kept()


def prepare(source: TaskSource, given: Mapping[str, Format], seed: int) -> Task:
    """Load, adapt and split one task. The same arguments give the same rows, whatever the method. `seed`: the run's."""
    data, fingerprint = raw(source)
    specs = {name: given[name].spec for name in modalities(source)}
    notes: dict[str, Any] = {}
    columns = {}
    unread = torch.arange(0)
    for name, spec in specs.items():
        pool = Pool(source.name, data, fingerprint, torch.arange(0))
        forms: Kept[tuple[Column, dict[str, Any]]] = _adapted((fingerprint, name), lambda: Kept(FORMS))
        columns[name], told = forms(spec, partial(_adapt, given[name], pool, name))
        if "unread" in told:
            unread = torch.cat([unread, torch.tensor(told["unread"])])
            told = {**told, "unread": len(unread)}
        notes |= {name: told} if told else {}
    groups = chosen_groups(data, source.options, source.where)
    splits, training = rows(source, seed), training_rows(source, seed)
    regroup = torch.full((len(data.groups),), -1)
    members = [(position, label) for label, positions in enumerate(groups.values()) for position in positions]
    positions, owners = torch.tensor(members).unbind(1)
    regroup[positions] = owners
    space = data.predicts(source.options.head or data.space, tuple(groups) if data.classes else ())
    making = code_digest(__name__, *(type(given[name]).__module__ for name in specs))
    form = digest([fingerprint, {name: asdict(spec) for name, spec in specs.items()}, making], 16)
    present = {name: data.present[name] for name in specs if name in data.present}
    labels = data.label_space.regrouped(data.labels, regroup)
    equal, digests = copies(source), copied.content(data, fingerprint, list(specs))
    repeated = equal.repeats if source.options.duplicates != copied.KEEP and bool(equal.repeats.any()) else None
    role = source.where.removeprefix("source.")
    every = torch.arange(len(labels))
    kinds: dict[str, Any] = {"present": present, "data": form, "task": role, "specs": specs, "repeated": repeated}
    whole = Examples(columns, labels, every, space, **kinds)
    parts = {part: whole.subset(index[~torch.isin(index, unread)]) for part, index in splits.parts().items()}
    training = training[~torch.isin(training, unread)]
    counts = {part: len(examples) for part, examples in parts.items()}
    held = {"draw": source.draw(seed), **{key: getattr(source.options, key) for key in ("test", "folds", "fold")}}
    drawn = {key: value for key, value in asdict(source.options).items() if key != "draw"}
    # Rows that other tasks of the run have too may be on other sides than the options alone say.
    bound = [splits.left_out.tolist(), splits.moved, *(index.tolist() for index in splits.parts().values())]
    drawn |= {"rows": digest(bound, 16)} if splits.moved or len(splits.left_out) else {}
    task = Task(
        name=source.name,
        inputs=specs,
        labels=space,
        train=parts["train"],
        val=parts["val"],
        unlabeled=parts["unlabeled"],
        test=Sealed(source.name, parts["test"]),
        data=fingerprint,
        # The rows of all splits follow from the data, the label space, the options and the draw: not from who set it.
        fingerprint=digest([form, space.key, code_digest(type(space).__module__), drawn, source.draw(seed)], 16),
        training=training,
        notes={
            "examples": counts,
            "split": held,
            **split_notes(source, data, equal, splits),
            **(near_notes(source, seed) if data.near else {}),
            **notes,
            **data.notes,
            **source.notes,
        },
        origin=origin(source),
        content=digests,
        labelled=data.labelled,
        names=data.names,
    )
    _need_examples(task, source.where != "target")
    return task


def _adapt(form: Format, pool: Pool, name: str) -> tuple[Column, dict[str, Any]]:
    """The column of a modality in its form, and notes."""
    column, notes = form(pool)
    if column is not pool.raw.inputs[name]:
        key = digest(["column", pool.fingerprint, name, asdict(form.spec), code_digest(__name__, type(form).__module__)], 16)
        column = shared(column, key, computed=True)
    return column, notes


def _need_examples(task: Task, source: bool) -> None:
    """Raise `Problem` for a task without a training example, or without a test example."""
    if len(task.train) == 0 and (source or len(task.unlabeled) == 0):
        fix = "Raise its shots (null: all)" if source else "Raise shots or fraction, or lower val or test"
        if task.labelled is not None and not bool(task.labelled[task.training].any()):
            fix = "None of its examples has a label: make it the target (target.shots=0), or give it labels"
        raise Problem(f"{task.name} has no {'labelled ' * source}training example left. {fix}.")
    # A target none of whose rows has a label is learned from without labels, and predicted.
    without = task.labelled is not None and not bool(task.labelled[task.training].any())
    if len(task.test) == 0 and (source or not without):
        reason, fix = "", "Set test to a fraction above 0"
        if "whole_groups" in task.notes:
            reason, fix = (
                ": all examples of each class are copies or of one owner",
                "Choose another split_by",
            )
        raise Problem(f"{task.name} has no test example{reason}. {fix}.")


def tiny(task: Task, per_class: int = 2) -> Task:
    """The same task with at most `per_class` examples of each class (group of the label space) in every split."""

    def few(examples: Examples) -> Examples:
        strata = task.labels.strata(examples.labels)
        ordered, rows = strata.sort(stable=True)
        # The place of each row among those of its group: few are less than `per_class`.
        place = torch.arange(len(rows)) - torch.searchsorted(ordered, ordered)
        return examples.subset(rows[place < per_class])

    return replace(
        task,
        train=few(task.train),
        val=few(task.val),
        unlabeled=few(task.unlabeled),
        test=Sealed(task.name, few(task.test.examples)),
    )
