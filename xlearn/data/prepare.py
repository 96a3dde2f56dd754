"""From loaders to tasks: load once per process, bring every modality into its format, split, remap labels."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xlearn.data.columns import Column, Ragged
from xlearn.data.modalities import Format, Pool
from xlearn.data.options import TaskOptions
from xlearn.data.shared import shared, shared_raw
from xlearn.data.splits import Splits, chosen_groups, split
from xlearn.data.task import Examples, Sealed, Task
from xlearn.data.tasks import Raw
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.hashing import digest
from xlearn.runtime.memory import Kept


@dataclass(frozen=True)
class TaskSource:
    """A task before it is loaded: its name in the configuration (for messages), its loader and its options."""

    name: str
    where: str
    load: Callable[[], Raw]
    arguments: dict[str, Any]
    options: TaskOptions

    def draw(self, seed: int) -> int:
        """The seed of the task's split: its own `draw`, or the run's `seed`."""
        return seed if self.options.draw is None else self.options.draw


# Raw and converted data are kept for the next run in this process; of a data set's modality the forms that were read last.
FORMS = 4
_loaded: Kept[tuple[Raw, str]] = Kept()
_adapted: Kept[Kept[tuple[Column, dict[str, Any]]]] = Kept()


def raw(source: TaskSource) -> tuple[Raw, str]:
    """The raw data of a task and their fingerprint (blake2b of every column, label and class name)."""

    def load() -> tuple[Raw, str]:
        data = source.load()
        _need_sides(source, data)
        # Without groups, the names are of what is predicted, and need no example.
        if data.label_space.group:
            counts = torch.bincount(data.strata, minlength=len(data.classes))[: len(data.classes)]
            if len(empty := torch.nonzero(counts == 0)):
                raise Problem(
                    f"{source.where}: class {data.classes[int(empty[0])]!r} of {source.name} has no example. Remove it."
                )
        fingerprint = _fingerprint(data)
        return shared_raw(data, fingerprint), fingerprint

    return _loaded(json.dumps([source.name, source.arguments], sort_keys=True, default=str), load)


def _need_sides(source: TaskSource, data: Raw) -> None:
    """Raise `Problem` for a column with more or fewer rows than there are labels."""
    columns = {**data.inputs, **{f"present[{name}]": each for name, each in data.present.items()}}
    columns |= {f"origin[{name}]": rows for name, (_, rows) in data.origin.items()}
    columns |= {f"content[{name}]": each for name, each in data.content.items()}
    single = {"official": data.official, "owner": data.owner, "labelled": data.labelled, "names": data.names or None}
    columns |= {name: each for name, each in single.items() if each is not None}
    for name, column in columns.items():
        if len(column) != len(data.labels):
            raise Problem(
                f"{source.where}: {source.name} has {len(data.labels)} labels and {len(column)} rows of {name}, which do "
                "not match. Give each example one row of every modality, with `present` False where it lacks one."
            )


def _fingerprint(data: Raw) -> str:
    content = hashlib.blake2b(json.dumps([data.classes, data.space]).encode(), digest_size=16)
    if data.rate or data.columns:
        content.update(json.dumps([data.rate, data.columns, *([data.categories] if data.categories else [])]).encode())
    columns: list[Any] = [*(data.inputs[name] for name in sorted(data.inputs)), data.labels]
    columns += [each for each in (data.official, data.owner, data.labelled) if each is not None]
    columns += [data.content[name] for name in sorted(data.content)]
    for column in [*columns, *(data.present[name] for name in sorted(data.present))]:
        for part in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
            if isinstance(part, Tensor):
                content.update(str(tuple(part.shape)).encode())
                content.update(part.reshape(-1).contiguous().view(torch.uint8).numpy().data)
            else:
                content.update(json.dumps(list(part)).encode())
    return content.hexdigest()


def modalities(source: TaskSource) -> list[str]:
    """The modalities that a task reads, sorted."""
    there, wanted = sorted(raw(source)[0].inputs), source.options.modalities
    if wanted is None:
        return there
    for name in wanted:
        if name not in there:
            raise Problem(f"{source.where}.modalities: {source.name} has no {name!r}. {nearest(name, there)}")
    if not wanted:
        raise Problem(f"{source.where}.modalities=[]: name at least one of {', '.join(there)}, or null for all.")
    return sorted(set(wanted))


def rows(source: TaskSource, seed: int, labelled: bool = True) -> Splits:
    """The rows of a task's splits in a run of this `seed`. `labelled=False`: all its training rows count as labelled."""
    options = source.options if labelled else replace(source.options, shots=None, fraction=None, imbalance=None)
    return split(raw(source)[0], options, source.draw(seed), source.where)


def prepare(source: TaskSource, given: Mapping[str, Format], seed: int) -> Task:
    """Load, adapt and split one task. The same arguments give the same rows, whatever the method. `seed`: the run's."""
    data, fingerprint = raw(source)
    specs = {name: given[name].spec for name in modalities(source)}
    notes: dict[str, Any] = {}
    columns = {}
    for name, spec in specs.items():
        pool = Pool(source.name, data, fingerprint, torch.arange(0))
        forms: Kept[tuple[Column, dict[str, Any]]] = _adapted((fingerprint, name), lambda: Kept(FORMS))
        columns[name], told = forms(spec, partial(_adapt, given[name], pool, name))
        notes |= {name: told} if told else {}
    groups = chosen_groups(data, source.options, source.where)
    splits, training = rows(source, seed), rows(source, seed, labelled=False).train
    regroup = torch.full((len(data.groups),), -1)
    members = [(position, label) for label, positions in enumerate(groups.values()) for position in positions]
    positions, owners = torch.tensor(members).unbind(1)
    regroup[positions] = owners
    space = data.predicts(source.options.head or data.space, tuple(groups) if data.classes else ())
    making = code_digest(__name__, *(type(given[name]).__module__ for name in specs))
    form = digest([fingerprint, {name: asdict(spec) for name, spec in specs.items()}, making], 16)
    present = {name: data.present[name] for name in specs if name in data.present}
    labels = data.label_space.regrouped(data.labels, regroup)
    role = source.where.removeprefix("source.")
    whole = Examples(columns, labels, torch.arange(len(labels)), space, present=present, data=form, task=role, specs=specs)
    parts = {part: whole.subset(index) for part, index in vars(splits).items()}
    counts = {part: len(examples) for part, examples in parts.items()}
    held = {"draw": source.draw(seed), **{key: getattr(source.options, key) for key in ("test", "folds", "fold")}}
    drawn = {key: value for key, value in asdict(source.options).items() if key != "draw"}
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
        notes={"examples": counts, "split": held, **notes, **data.notes},
        # The same content under two names is the same data too.
        origin={fingerprint: torch.arange(len(labels)), **dict(data.origin[name] for name in specs if name in data.origin)},
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
        raise Problem(f"{task.name} has no {'labelled ' * source}training example left. {fix}.")
    if len(task.test) == 0:
        raise Problem(f"{task.name} has no test example. Set test to a fraction above 0.")


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
