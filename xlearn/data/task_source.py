"""A task before it is prepared: its loader, its raw data, and the rows of its splits."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from xlearn.data import copies as copied
from xlearn.data.columns import Ragged
from xlearn.data.copies import Copies
from xlearn.data.following import Followed, sides_given
from xlearn.data.leakage import without_learned
from xlearn.data.options import TaskOptions
from xlearn.data.provenance import Provenance
from xlearn.data.shared import shared_raw
from xlearn.data.splits import Splits, split
from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.memory import Kept


@dataclass(frozen=True)
class TaskSource:
    """A task before it is loaded: its name in the configuration (for messages), its loader and its options.

    `follows`: earlier tasks of the run, whose sides bind where both have the same rows. `measured`: all its rows are measured,
    in episodes. `learned`: what the weights that the run begins with have learned from; the test split has none of it.
    `notes`: on the options, for the result.
    """

    name: str
    where: str
    load: Callable[[], Raw]
    arguments: dict[str, Any]
    options: TaskOptions
    follows: tuple["TaskSource", ...] = ()
    measured: bool = False
    learned: Provenance = field(default_factory=Provenance)
    notes: dict[str, Any] = field(default_factory=dict)

    def draw(self, seed: int) -> int:
        """The seed of the task's split: its own `draw`, or the run's `seed`."""
        return seed if self.options.draw is None else self.options.draw


# Raw data are kept for the next run in this process.
_loaded: Kept[tuple[Raw, str]] = Kept()
_copies: Kept[Copies] = Kept()


def raw(source: TaskSource) -> tuple[Raw, str]:
    """The raw data of a task and their fingerprint (blake2b of every column, label and class name)."""

    def load() -> tuple[Raw, str]:
        data = source.load()
        _need_sides(source, data)
        # Without groups, the names are of what is predicted, and need no example; nor where some rows have no label.
        if data.label_space.group and data.labelled is None:
            counts = torch.bincount(data.strata[data.known], minlength=len(data.classes))[: len(data.classes)]
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
    columns |= {f"near[{name}]": each for name, each in data.near.items()}
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
    if data.skip_bad:
        content.update(b"skip_bad")
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


def copies(source: TaskSource) -> Copies:
    """The copies among the rows of a task, and its units."""
    data, fingerprint = raw(source)
    rule, chosen = source.options.duplicates, modalities(source)
    return _copies((fingerprint, rule, *chosen), lambda: copied.copies(data, copied.content(data, fingerprint, chosen), rule))


def rows(source: TaskSource, seed: int, labelled: bool = True) -> Splits:
    """The rows of a task's splits in a run of this `seed`. `labelled=False`: all its training rows count as labelled."""
    return _rows(source, seed, labelled, _earlier(source, seed))


def followed(source: TaskSource, seed: int) -> Followed:
    """The sides of a task's rows, for tasks that follow it."""
    return _followed(source, seed, _earlier(source, seed))


def _earlier(source: TaskSource, seed: int) -> list[Followed]:
    """The tasks that a task follows; each of them follows those before it."""
    found: list[Followed] = []
    for each in source.follows:
        found.append(_followed(each, seed, found))
    return found


def _followed(source: TaskSource, seed: int, earlier: Sequence[Followed]) -> Followed:
    digests = copied.content(*raw(source), modalities(source))
    return Followed(_rows(source, seed, True, earlier), digests, origin(source), source.measured)


def _rows(source: TaskSource, seed: int, labelled: bool, earlier: Sequence[Followed]) -> Splits:
    options = source.options if labelled else replace(source.options, shots=None, fraction=None, imbalance=None)
    data, fingerprint = raw(source)
    without = data.labelled is not None and not bool(data.labelled.any())
    if without and source.where == "target" and source.options.shots != 0:
        raise Problem(
            f"target.shots={source.options.shots}: no example of {source.name} has a label. Write target.shots=0, with a "
            "transfer that needs no labels of the target (source_only, dann, shot, ...)."
        )
    digests, places, count = copied.content(data, fingerprint, modalities(source)), origin(source), len(data.labels)
    given = sides_given(digests, places, count, earlier, options.duplicates != copied.KEEP) if earlier else None
    found = split(data, options, source.draw(seed), source.where, copies(source), given)
    return without_learned(
        found, source.learned.matched(digests, places, count), source.learned.file, source.where, source.measured
    )


def origin(source: TaskSource) -> dict[str, Tensor]:
    """By name of the data that a task is made of, the position of each row there, int64 `[n]`."""
    data, fingerprint = raw(source)
    # The same content under two names is the same data too.
    named = dict(data.origin[name] for name in modalities(source) if name in data.origin)
    return {fingerprint: torch.arange(len(data.labels)), **named}


def training_rows(source: TaskSource, seed: int) -> Tensor:
    """The rows that a task may learn from, labelled or not, ascending, int64 `[n]`."""
    found = rows(source, seed, labelled=False)
    return torch.cat([found.train, found.unlabeled]).sort().values
