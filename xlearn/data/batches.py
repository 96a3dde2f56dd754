"""Batches: gathered from columnar tensors, in an order that follows from the seed and the step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.task import Batch, Examples
from xlearn.data.unlabeled import is_hidden
from xlearn.runtime.hashing import derive
from xlearn.runtime.machine import Machine

BUCKET = 20
# The number of draws of a task that are made at once.
DRAWN = 1024

Augment = Callable[[Batch, torch.Generator], Batch]


@dataclass(frozen=True)
class _Pool:
    """Examples that one or several tasks read; `place[role] int64 [n]` is the position of each in the task, or -1."""

    examples: Examples
    place: Mapping[str, Tensor]
    size: int
    lengths: Tensor | None


class Source:
    """A source of batches, called as `source(step, network) -> {role: Batch}`, with hooks for one without state.

    The network is the one that is trained, as it is at this step.
    """

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that `epochs=1` lasts."""
        return 1

    def __call__(self, step: int, network: nn.Module | None = None) -> dict[str, Batch]:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The state to save with the training: plain containers and tensors."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state, with the next step."""

    def finish(self, network: nn.Module, machine: Machine) -> bool:
        """Called once with the network's final weights. Returns whether it changed them."""
        return False


class Function(Source):
    """A function as a source of batches."""

    def __init__(self, function: Callable[[int, Any], dict[str, Batch]]) -> None:
        self.function = function

    def __call__(self, step: int, network: nn.Module | None = None) -> dict[str, Batch]:
        return self.function(step, network)


def source(batches: Callable[[int, Any], dict[str, Batch]]) -> Source:
    """A source of batches with its hooks: the given one, or a function without state."""
    return batches if isinstance(batches, Source) else Function(batches)


class Batches(Source):
    """`batches(step, network) -> {role: Batch}`. It has no state to save: a resumed phase asks for its next step.

    Each role runs through permutations of its examples. The last, incomplete batch of a permutation is left out, so that
    all batches have the same size. `balanced` draws with replacement, every class equally often. Sequences of similar lengths
    share a batch, which reduces padding: `BUCKET` batches at a time (at most a quarter of all, so that batch composition varies
    between epochs) are drawn at random, sorted by length and cut, and all batches are shuffled.

    `common`: roles made of the same data run through the union of their examples and share the inputs of a batch. Each role has
    its own labels in it, and is left out if it has none. `tasks`: `all` gives every role in every step. Otherwise each step
    draws a single role, `proportional` to its number of examples n, `equal`ly often, or by n^(1 / `temperature`) (Aharoni et
    al., NAACL 2019).
    """

    def __init__(
        self,
        examples: Mapping[str, Examples],
        *,
        batch_size: int,
        seed: int,
        balanced: bool = False,
        augment: Sequence[Augment] = (),
        device: torch.device | None = None,
        common: bool = False,
        tasks: str = "all",
        temperature: float = 1.0,
    ) -> None:
        self.seed, self.balanced, self.augment = seed, balanced, tuple(augment)
        self.device = device or torch.device("cpu")
        self.examples = dict(examples)
        groups = _groups(self.examples) if common and tasks == "all" and not balanced else [[role] for role in self.examples]
        self._pools = {"+".join(group): _pool(self.examples, group, batch_size) for group in groups}
        self._order: dict[str, tuple[int, Tensor]] = {}
        counts = torch.tensor([float(len(each)) for each in self.examples.values()])
        powers = {"proportional": 1.0, "equal": 0.0, "temperature": 1 / temperature}
        self._shares = None if tasks == "all" or len(self.examples) < 2 else counts ** powers[tasks]
        # Per block of `DRAWN` steps: the drawn roles, by number, and how often earlier blocks drew each role.
        self._draws: list[tuple[list[int], list[int]]] = []

    @property
    def steps_per_epoch(self) -> int:
        """Steps until the largest role was read once; if each step draws a role, as many as all roles have batches."""
        each = [len(pool.examples) // pool.size for pool in self._pools.values()]
        return max(each) if self._shares is None else sum(each)

    def __call__(self, step: int, network: nn.Module | None = None) -> dict[str, Batch]:
        if self._shares is not None:
            role, own_step = self._drawn(step)
            return self._batches(role, own_step)
        return {role: batch for name in self._pools for role, batch in self._batches(name, step).items()}

    def _drawn(self, step: int) -> tuple[str, int]:
        """(the role of a step, the number of earlier steps with this role)."""
        assert self._shares is not None
        block, place = divmod(step, DRAWN)
        while len(self._draws) <= block:
            drawn, before = self._draws[-1] if self._draws else ([], [0] * len(self.examples))
            counts = [count + drawn.count(role) for role, count in enumerate(before)]
            generator = torch.Generator().manual_seed(derive(self.seed, "tasks", len(self._draws) * DRAWN))
            drawn = torch.multinomial(self._shares, DRAWN, replacement=True, generator=generator).tolist()
            self._draws.append((drawn, counts))
        drawn, counts = self._draws[block]
        role = drawn[place]
        return [*self.examples][role], counts[role] + drawn[:place].count(role)

    def _batches(self, name: str, step: int) -> dict[str, Batch]:
        pool = self._pools[name]
        epoch, position = divmod(step, len(pool.examples) // pool.size)
        if name not in self._order or self._order[name][0] != epoch:
            self._order[name] = (epoch, self._permutation(name, epoch))
        index = self._order[name][1][position * pool.size : (position + 1) * pool.size]
        batch = pool.examples.take(index).to(self.device)
        if self.augment and batch.features is None:
            generator = torch.Generator().manual_seed(derive(self.seed, name, "augment", step))
            for augment in self.augment:
                batch = augment(batch, generator)
        if name in self.examples:
            batch.memo = {}
            return {name: batch}
        memo: dict[Any, Any] = {}
        found = {role: self._labelled(role, batch, place[index], memo) for role, place in pool.place.items()}
        return {role: each for role, each in found.items() if len(each)}

    def _labelled(self, role: str, batch: Batch, place: Tensor, memo: dict[Any, Any]) -> Batch:
        """The batch with the labels of the role, and the rows of the inputs that have these labels."""
        examples, known = self.examples[role], place >= 0
        labels = examples.labels.index_select(0, place[known]).to(self.device)
        rows = None if bool(known.all()) else known.nonzero().flatten().to(self.device)
        return replace(batch, labels=labels, space=examples.space, task=examples.task, rows=rows, memo=memo)

    def _permutation(self, name: str, epoch: int) -> Tensor:
        pool = self._pools[name]
        labels, size = pool.examples.labels, pool.size
        generator = torch.Generator().manual_seed(derive(self.seed, name, "order", epoch))
        if self.balanced and not is_hidden(labels):  # examples without labels are shuffled
            strata = pool.examples.space.strata(labels)
            weights = 1 / torch.bincount(strata)[strata].double()
            order = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(labels), generator=generator)
        if (lengths := pool.lengths) is None or len(labels) < 2 * size:
            return order
        order = order[: len(labels) // size * size]
        bucket = max(1, min(BUCKET, len(order) // (4 * size))) * size
        pieces = [piece[lengths[piece].argsort(stable=True)] for piece in order.split(bucket)]
        batches = torch.cat(pieces).reshape(-1, size)
        return batches[torch.randperm(len(batches), generator=generator)].flatten()


def _groups(examples: Mapping[str, Examples]) -> list[list[str]]:
    """The roles, grouped by their data and form. Where rows cannot be brought together, a role has its own group."""
    groups: dict[object, list[str]] = {}
    for role, each in examples.items():
        same = (each.data, tuple(each.inputs), each.encoded) if each.data and each.features is None else role
        if each.encoded:  # computed for these rows only
            same = (same, tuple(each.rows.tolist()))
        groups.setdefault(same, []).append(role)
    return [*groups.values()]


def _pool(examples: Mapping[str, Examples], group: Sequence[str], batch_size: int) -> _Pool:
    first = examples[group[0]]
    if len(group) == 1:
        return _Pool(first, {}, min(batch_size, len(first)), first.lengths())
    rows = torch.cat([examples[role].rows for role in group]).unique()
    if not torch.equal(rows, first.rows):
        assert first.whole is not None
        first = first.whole.only(*first.inputs).subset(rows)
    place = {}
    for role in group:
        place[role] = torch.full((len(rows),), -1)
        place[role][torch.searchsorted(rows, examples[role].rows)] = torch.arange(len(examples[role]))
    return _Pool(first, place, min(batch_size, len(first)), first.lengths())
