"""A family from outside of the package: catalogues of items, and baskets whose next item is to be named.

Its split is its own (the last baskets are the test), its head is a table of items, its predictions are rankings, its floor is
trained, and the rows of its tables belong to items, whatever their place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from xlearn.data.modalities import Modality, Pool
from xlearn.data.tasks import OPEN, TEST, Raw
from xlearn.label_spaces import LabelSpace
from xlearn.learners.comparisons import Compared, Comparison, Plan
from xlearn.networks.entities import Entities
from xlearn.networks.network import Tokens

SIZE = 3


@dataclass(frozen=True)
class BasketSpec(Modality):
    """Baskets of three items, `int64 [n, 3]`, numbers of `items`."""

    items: tuple[str, ...]

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "BasketFormat":
        """All items that the tasks of the run have."""
        return BasketFormat(BasketSpec(tuple(sorted({item for pool in pools for item in pool.raw.classes}))))


@dataclass(frozen=True)
class BasketFormat:
    spec: BasketSpec

    def __call__(self, pool: Pool) -> tuple[Tensor, dict[str, Any]]:
        place = torch.tensor([self.spec.items.index(item) for item in pool.raw.classes])
        return place[pool.raw.inputs["basket"]], {}


class Baskets(Entities):
    """The mean of the vectors of the items."""

    tables = ("table.weight",)

    def __init__(self, spec: BasketSpec, *, width: int = 8) -> None:
        super().__init__()
        self.width, self.ids, self.table = width, spec.items, nn.Embedding(len(spec.items), width)

    def forward(self, given: Tensor) -> Tokens:
        return Tokens(self.table(given).mean(1, keepdim=True))


class Blind(nn.Module):
    """Reads no item: what is learned with it is how popular items are."""

    def __init__(self, spec: BasketSpec) -> None:
        super().__init__()
        self.width = 1

    def forward(self, given: Tensor) -> Tokens:
        return Tokens(torch.ones(len(given), 1, 1))


class Shelf(Entities):
    """A head that is no linear layer: each item has a vector and a popularity."""

    tables = ("vectors", "popularity")

    def __init__(self, width: int, ids: tuple[str, ...]) -> None:
        super().__init__()
        self.ids = ids
        self.vectors = nn.Parameter(0.3 * torch.randn(len(ids), width))
        self.popularity = nn.Parameter(torch.zeros(len(ids)))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.vectors.T + self.popularity


@dataclass(frozen=True)
class Catalogue(LabelSpace):
    """Labels are items, by their place in `classes`; a prediction is a ranking of all items."""

    metrics: ClassVar[Mapping[str, bool]] = {"reciprocal_rank": True, "mean_rank": False}
    metric: ClassVar[str] = "reciprocal_rank"
    kind: ClassVar[str] = "items"
    floor_name: ClassVar[str] = "most popular items"
    group: ClassVar[str] = ""

    @property
    def key(self) -> str:
        return f"catalogue_{self.name}"  # whatever the items: heads share rows by item

    @property
    def width(self) -> int:
        return len(self.classes)

    def head(self, width: int) -> nn.Module:
        return Shelf(width, self.classes)

    def outputs(self, head: nn.Module, features: Tensor) -> Tensor:
        return head(features)[:, [head.ids.index(item) for item in self.classes]]

    def together(self, other: LabelSpace) -> LabelSpace:
        return replace(self, classes=tuple(sorted({*self.classes, *other.classes})))

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The margin of the bought item over all others (pairwise logistic)."""
        own = outputs.gather(1, labels[:, None])
        return nn.functional.softplus(outputs - own).mean(1)

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.argsort(1, descending=True)

    def measure(self, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
        ranks = (self.predictions(outputs) == labels[:, None]).nonzero()[:, 1].double() + 1
        return {"reciprocal_rank": float((1 / ranks).mean()), "mean_rank": float(ranks.mean())}

    def floor(self, training: Tensor | None, count: int) -> Tensor | None:
        return None if training is None else torch.bincount(training, minlength=self.width).float().expand(count, -1)


def shop(*, items: str, seed: int, count: int = 240) -> Raw:
    """Baskets of a shop that has these items (letters), in any order of its own. The next item follows the first of the basket
    in the alphabet, most of the time; the last quarter of the baskets is the test.
    """
    generator = torch.Generator().manual_seed(seed)
    names = tuple(items)
    baskets = torch.randint(len(names), (count, SIZE), generator=generator)
    order = sorted(range(len(names)), key=lambda place: names[place])
    after = torch.tensor([order[(order.index(place) + 1) % len(order)] for place in range(len(names))])
    noise = torch.randint(len(names), (count,), generator=generator)
    labels = torch.where(torch.rand(count, generator=generator) < 0.8, after[baskets[:, 0]], noise)
    official = torch.full((count,), OPEN, dtype=torch.int8)
    official[-count // 4 :] = TEST
    return Raw({"basket": baskets}, labels, names, "shops", official=official, predicts=Catalogue)


class TrainedPopularity(Comparison):
    """A floor that is trained: the same phases as the baseline's, without reading the baskets."""

    def __call__(self, plan: Plan) -> Iterator[Compared]:
        blind = replace(plan, components=replace(plan.components, encoders={"basket": partial(Blind)}))
        yield Compared(("floors", "trained_popularity"), blind.scratch(plan.roles), "trained popularity", tag={"floor": "yes"})


FILES = {
    "encoder/basket/baskets.yaml": "# The mean of the vectors of the items\n_target_: toys.catalogue.Baskets\nwidth: 8\n",
    "label_space/items.yaml": (
        "# @package _global_\n# The next item of a catalogue\ndefaults:\n  - override /objective: supervised\nlabel_space:\n"
        "  _target_: toys.catalogue.Catalogue\nmetric: reciprocal_rank\ntarget:\n  shots: null\n"
    ),
    "task/big_shop.yaml": "# Many items\n_target_: toys.catalogue.shop\nitems: hgfedcba\nseed: 1\nlabel_space: items\n",
    "task/small_shop.yaml": (
        "# Some of them, and others\n_target_: toys.catalogue.shop\nitems: cdefxyab\nseed: 2\ncount: 80\nlabel_space: items\n"
    ),
}
