"""A modality from outside the package, of which nothing is known but how an encoder reads it: four item numbers an example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xlearn.data.modalities import Pool
from xlearn.data.tasks import Raw
from xlearn.networks.network import Tokens

ITEMS = 30


@dataclass(frozen=True)
class IdsSpec:
    """Item numbers `int64 [n, 4]`, 0 to `items - 1`."""

    items: int


@dataclass(frozen=True)
class IdsFormat:
    spec: IdsSpec

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        return pool.raw.inputs["ids"], {}


class Bag(nn.Module):
    """The mean of what the items stand for."""

    def __init__(self, spec: IdsSpec, *, width: int = 8) -> None:
        super().__init__()
        self.width, self.table = width, nn.Embedding(spec.items, width)

    def forward(self, given: Tensor) -> Tokens:
        # A mixture or a dropped number would be a number of another item.
        assert given.dtype == torch.int64
        return Tokens(self.table(given).mean(1, keepdim=True))

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], **arguments: Any) -> IdsFormat:
        return IdsFormat(IdsSpec(ITEMS))


def baskets(*, shift: int = 0, pictures: bool = False, per_class: int = 40) -> Raw:
    """Items of three classes, those of a class in a third of the numbers; with images, where `pictures`."""
    generator = torch.Generator().manual_seed(11 + shift)
    labels = torch.arange(3).repeat_interleave(per_class)
    ids = torch.randint(0, 10, (len(labels), 4), generator=generator) + 10 * labels[:, None]
    inputs: dict[str, Any] = {"ids": (ids + shift) % ITEMS}
    if pictures:
        inputs["image"] = torch.randint(0, 256, (len(labels), 1, 6, 6), generator=generator).byte()
    return Raw(inputs, labels, ("a", "b", "c"), "baskets")
