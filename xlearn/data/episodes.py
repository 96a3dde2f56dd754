"""Episodes: few-shot tasks, drawn from labelled examples by the seed and the episode's number."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xlearn.data.batches import Augment, Source
from xlearn.data.columns import join
from xlearn.data.task import Batch, Examples, Task
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import derive


@dataclass(frozen=True)
class Kind:
    """N-way K-shot tasks with Q queries per class, `tasks` of them per step. A phase that trains on them is validated on `val`
    others, from the share `held_out` of the classes where that is possible.
    """

    ways: int
    shots: int
    queries: int
    tasks: int
    val: int = 100
    held_out: float = 0.2


class Episodes(Source):
    """`episodes(step, network) -> {"support": Batch, "query": Batch}`. It has no state to save, as `Batches`.

    Each episode has its own generator. It draws one of the roles (in proportion to their numbers of classes), N = `ways` of its
    classes, and of each K = `shots` examples for the support and Q = `queries` others for the query, all without replacement.
    Classes are numbered 0 to N - 1 in the order drawn. A step holds `tasks` episodes, one after the other: the support has
    `tasks * N * K` rows, the query `tasks * N * Q`, class by class. Their label space is the one that the examples' label space
    makes of an episode; its groups are the classes here. Raises `Problem` for a role with fewer than `ways` classes, a class
    with fewer than K + Q examples, and different modalities.
    """

    def __init__(
        self,
        examples: Mapping[str, Examples],
        kind: Kind,
        *,
        seed: int,
        device: torch.device | None = None,
        augment: Sequence[Augment] = (),
    ) -> None:
        self.kind, self.seed, self.augment = kind, seed, tuple(augment)
        self.device = device or torch.device("cpu")
        self._classes: list[list[Tensor]] = []
        first = 0
        for role, each in examples.items():
            need_enough(role, each, kind)
            strata, distinct = each.space.strata(each.labels), _distinct(each)
            counts = torch.bincount(strata[distinct])
            rows = first + distinct[strata[distinct].argsort(stable=True)]
            self._classes.append([*rows.split(counts[counts > 0].tolist())])
            first += len(each)
        self.examples = _joined(examples)
        self.space = self.examples.space.episode(kind.ways)
        self._shares = torch.tensor([float(len(rows)) for rows in self._classes])

    @property
    def steps_per_epoch(self) -> int:
        """Steps until as many examples were drawn as there are."""
        kind = self.kind
        return max(1, len(self.examples) // (kind.tasks * kind.ways * (kind.shots + kind.queries)))

    def __call__(self, step: int, network: nn.Module | None = None) -> dict[str, Batch]:
        return self.some(range(step * self.kind.tasks, (step + 1) * self.kind.tasks))

    def some(self, numbers: range) -> dict[str, Batch]:
        """The episodes of these numbers."""
        drawn = torch.stack([self._drawn(number) for number in numbers])
        parts = {"support": drawn[:, :, : self.kind.shots], "query": drawn[:, :, self.kind.shots :]}
        return {name: self._batch(name, index, numbers.start) for name, index in parts.items() if index.shape[2]}

    def rows(self, number: int) -> Tensor:
        """int64 `[ways * queries]`: the positions of an episode's queries in the data."""
        return self.examples.rows[self._drawn(number)[:, self.kind.shots :].flatten()]

    def _drawn(self, number: int) -> Tensor:
        """int64 `[ways, shots + queries]`: the rows of an episode."""
        generator = torch.Generator().manual_seed(derive(self.seed, "episode", number))
        role = 0
        if len(self._classes) > 1:
            role = int(torch.multinomial(self._shares, 1, generator=generator))
        classes = self._classes[role]
        count = self.kind.shots + self.kind.queries
        chosen = torch.randperm(len(classes), generator=generator)[: self.kind.ways].tolist()
        return torch.stack([_some(classes[label], count, generator) for label in chosen])

    def _batch(self, name: str, index: Tensor, first: int) -> Batch:
        batch = self.examples.take(index.flatten())
        labels = batch.space.episode_labels(batch.labels, index.shape)
        batch = replace(batch, labels=labels, space=self.space, task="episode").to(self.device)
        generator = torch.Generator().manual_seed(derive(self.seed, name, "augment", first))
        for augment in self.augment if batch.features is None else ():
            batch = augment(batch, generator)
        return batch


def _some(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:count]]


def _distinct(examples: Examples) -> Tensor:
    """int64 `[m]`: the examples without copies, so that no query is a copy of a support example."""
    return torch.arange(len(examples)) if examples.repeated is None else (~examples.repeated).nonzero().flatten()


def need_enough(role: str, examples: Examples, kind: Kind) -> None:
    """Raise `Problem` for fewer classes than ways, or a class with fewer examples than shots + queries, copies left out."""
    counts = torch.bincount(examples.space.strata(examples.labels)[_distinct(examples)])
    there = counts.nonzero().flatten()
    if len(there) < kind.ways:
        raise Problem(
            f"episodes.ways={kind.ways}: {role} has {len(there)} classes to draw from. Give at most {len(there)}, "
            "or choose a task with more."
        )
    least = int(there[counts[there].argmin()])
    if (few := int(counts[least])) < kind.shots + kind.queries:
        raise Problem(
            f"episodes.shots={kind.shots} and episodes.queries={kind.queries}: class {examples.space.classes[least]!r} of "
            f"{role} has {few} examples to draw from. Give at most {few} together, or lower the task's test and val."
        )


def _joined(examples: Mapping[str, Examples]) -> Examples:
    """The examples of all roles one after the other."""
    every = [*examples.values()]
    first = every[0]
    if len(every) == 1:
        return replace(first, whole=None)
    for role, each in examples.items():
        if each.inputs.keys() != first.inputs.keys() or each.taught.keys() != first.taught.keys():
            raise Problem(
                f"episodes: {role} has {' and '.join(sorted(each.inputs))}, the others {' and '.join(sorted(first.inputs))}. "
                "Choose sources of the same modalities."
            )
    named = {name for each in every for name in each.present}

    def column(of: Callable[[Examples], Any]) -> Any:
        return join([of(each) for each in every])

    return replace(
        first,
        inputs={name: column(lambda each, name=name: each.inputs[name]) for name in first.inputs},
        labels=column(lambda each: each.labels),
        rows=column(lambda each: each.rows),
        present={
            name: column(lambda each, name=name: each.present.get(name, torch.ones(len(each), dtype=torch.bool)))
            for name in sorted(named)
        },
        taught={name: column(lambda each, name=name: each.taught[name]) for name in first.taught},
        whole=None,
    )


class Apart(NamedTuple):
    """The examples of a task for training episodes and for validation episodes; `classes`: whether their classes differ."""

    train: Examples
    val: Examples
    classes: bool


def classes_apart(tasks: Mapping[str, Task], share: float, kind: Kind, seed: int) -> dict[str, Apart]:
    """By role, disjoint examples for training and validation. `share` of the classes, drawn from the seed, is held out where
    both sides keep at least N. Otherwise validation episodes have the same classes, and the rows of the validation split.

    Tasks may have common classes (by label space and name) or examples (`Task.origin`). Classes of one task with common
    examples are held out together. No task trains on what validates another. The choices for earlier tasks bind later ones.
    """
    held: dict[tuple[str, str], bool] = {}
    fates = {role: _held_out(task, share, kind, seed, held) for role, task in tasks.items()}
    found = {}
    for role, task in tasks.items():
        names = _names(task)
        left = torch.tensor([label for label, name in enumerate(names) if held[name]], dtype=torch.int64)
        train = task.train
        if len(left):
            train = train.subset((~torch.isin(train.space.strata(train.labels), left)).nonzero().flatten())
        val = task.val
        if fates[role]:
            whole = task.train.whole or task.train
            both = torch.cat([task.train.rows, task.val.rows]).sort().values
            val = whole.subset(both[torch.isin(whole.space.strata(whole.labels)[both], left)])
        found[role] = Apart(train, val, fates[role])
    return {role: each._replace(train=_without(role, each.train, tasks, found)) for role, each in found.items()}


def _names(task: Task) -> list[tuple[str, str]]:
    return [(task.labels.name, each) for each in task.labels.classes]


def _held_out(task: Task, share: float, kind: Kind, seed: int, held: dict[tuple[str, str], bool]) -> bool:
    """Whether the task holds classes out. Its choices for classes without an entry in `held` are added there."""
    names, family = _names(task), _families(task)
    decided = {family[label]: held[name] for label, name in enumerate(names) if name in held}
    sizes, out = Counter(family), {each for each, fate in decided.items() if fate}
    count = sum(sizes[each] for each in out)
    generator = torch.Generator().manual_seed(derive(seed, task.labels.key, "held out"))
    for label in torch.randperm(len(names), generator=generator).tolist():
        if count < round(share * len(names)) and family[label] not in decided and family[label] not in out:
            out.add(family[label])
            count += sizes[family[label]]
    possible = count >= kind.ways and len(names) - count >= kind.ways
    for label, name in enumerate(names):
        held.setdefault(name, possible and family[label] in out)
    return possible


def _families(task: Task) -> list[int]:
    """For each class the first class with which it shares examples, as rotated drawings do."""
    whole = task.train.whole or task.train
    rows = torch.cat([task.train.rows, task.val.rows])
    labels, family = whole.space.strata(whole.labels)[rows], torch.arange(len(task.labels.classes))
    before = None
    while before is None or not torch.equal(before, family):
        before = family.clone()
        for places in task.origin.values():
            _, place = places[rows].unique(return_inverse=True)
            first = torch.full((len(rows),), len(family)).scatter_reduce(0, place, family[labels], "amin")
            family.scatter_reduce_(0, labels, first[place], "amin")
    return family.tolist()


def _without(role: str, train: Examples, tasks: Mapping[str, Task], found: Mapping[str, Apart]) -> Examples:
    """The training examples of a role, without those that validate another role or other classes of this role."""
    for other, each in found.items():
        for name in tasks[role].origin.keys() & tasks[other].origin.keys() if other != role or each.classes else ():
            validating = tasks[other].origin[name][each.val.rows]
            train = train.subset((~torch.isin(tasks[role].origin[name][train.rows], validating)).nonzero().flatten())
    return train
