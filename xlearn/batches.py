"""Batches: whole batches gathered from columnar tensors, in an order that follows from seed and step alone."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from xlearn.hashing import derive
from xlearn.task import Batch, Examples

BUCKET = 20

Augment = Callable[[Batch, torch.Generator], Batch]


class Batches:
    """`batches(step, network) -> {role: Batch}`. It has no state to save: a resumed phase asks for its next step.

    Each role runs through permutations of its own examples; the last, incomplete batch of a permutation is left out,
    so that all batches have the same size. `balanced` draws with replacement, every class equally often. Sequences of
    like lengths come into one batch, so that little is padding: `BUCKET` batches at a time are drawn at random (at most a
    quarter of all, so that nobody meets the same company in every epoch), sorted by length, cut, and the batches shuffled.
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
    ) -> None:
        self.examples = dict(examples)
        self.seed, self.balanced, self.augment = seed, balanced, tuple(augment)
        self.device = device or torch.device("cpu")
        self.sizes = {role: min(batch_size, len(each)) for role, each in self.examples.items()}
        self._lengths = {role: each.lengths() for role, each in self.examples.items()}
        self._order: dict[str, tuple[int, Tensor]] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Steps until the largest role was read once."""
        return max(len(each) // self.sizes[role] for role, each in self.examples.items())

    def __call__(self, step: int, network: nn.Module | None = None) -> dict[str, Batch]:
        return {role: self._batch(role, step) for role in self.examples}

    def _batch(self, role: str, step: int) -> Batch:
        examples, size = self.examples[role], self.sizes[role]
        epoch, position = divmod(step, len(examples) // size)
        if role not in self._order or self._order[role][0] != epoch:
            self._order[role] = (epoch, self._permutation(role, epoch))
        batch = examples.take(self._order[role][1][position * size : (position + 1) * size]).to(self.device)
        if self.augment and batch.features is None:
            generator = torch.Generator().manual_seed(derive(self.seed, role, "augment", step))
            for augment in self.augment:
                batch = augment(batch, generator)
        return batch

    def _permutation(self, role: str, epoch: int) -> Tensor:
        labels, size = self.examples[role].labels, self.sizes[role]
        generator = torch.Generator().manual_seed(derive(self.seed, role, "order", epoch))
        if self.balanced:
            weights = 1 / torch.bincount(labels)[labels].double()
            order = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(labels), generator=generator)
        if (lengths := self._lengths[role]) is None or len(labels) < 2 * size:
            return order
        order = order[: len(labels) // size * size]
        bucket = max(1, min(BUCKET, len(order) // (4 * size))) * size
        pieces = [piece[lengths[piece].argsort(stable=True)] for piece in order.split(bucket)]
        batches = torch.cat(pieces).reshape(-1, size)
        return batches[torch.randperm(len(batches), generator=generator)].flatten()
