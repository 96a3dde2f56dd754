"""A perceptron on columns of numbers and categories."""

import itertools
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from xlearn.data.modalities.tabular import TabularSpec
from xlearn.networks.network import Tokens
from xlearn.networks.sizes import need_layers
from xlearn.runtime.errors import Problem, nearest

Categories = Literal["embedding", "one_hot"]
# The widest embedding of a category.
WIDEST = 50


class TabularMlp(nn.Module):
    """Linear - ReLU - dropout, once per entry of `widths`, on the values and on indicators of missing values.

    Reads columns `[batch, columns]`, gives one token `[batch, 1, widths[-1]]`. Its input is `[x, m]`, `[batch, 2 * numbers]`:
    where a number is missing (NaN) x is 0, the mean in training, and m is 1. A column of n categories adds
    `min(50, (n + 1) // 2)` learned numbers of its category (Guo & Berkhahn, 2016; the width as in fastai 0.7), or with
    `categories=one_hot` (null: `embedding`) n + 2 numbers, one of which is 1. A missing category, and one that was not in
    training (or is too rare), are two more, whose embeddings begin at 0.
    """

    def __init__(
        self, spec: TabularSpec, *, widths: list[int], dropout: float = 0.0, categories: Categories | None = None
    ) -> None:
        super().__init__()
        need_layers("encoder.tabular", "widths", widths, dropout)
        categories = categories or "embedding"
        if categories not in get_args(Categories):
            raise Problem(f"encoder.tabular.categories={categories}: {nearest(categories, get_args(Categories))}")
        # Of each column of categories: number 0 is a missing one, 1 an unknown one, then the known ones.
        self.numbers, self.sizes = spec.numbers, [count + 2 for count in spec.categories]
        read = sum(self.sizes)
        if categories == "embedding" and self.sizes:
            tables = [nn.Embedding(count + 2, min(WIDEST, (count + 1) // 2 or 1)) for count in spec.categories]
            for table in tables:
                nn.init.zeros_(table.weight[:2])
            self.embeddings = nn.ModuleList(tables)
            read = sum(table.embedding_dim for table in tables)
        sizes = [2 * self.numbers + read, *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
            for before, after in itertools.pairwise(sizes)
        )
        self.width = widths[-1]
        self.embedded = categories == "embedding"

    def forward(self, values: Tensor) -> Tokens:
        categories = values[:, self.numbers :]
        values = values[:, : self.numbers]
        lacking = values.isnan()
        x = torch.cat([values.masked_fill(lacking, 0), lacking.to(values.dtype), *self._read(categories)], dim=1)
        for block in self.blocks:
            x = block(x)
        return Tokens(x.unsqueeze(1))

    def _read(self, categories: Tensor) -> list[Tensor]:
        if not self.sizes:
            return []
        numbers = (categories + 1).nan_to_num(0).long().unbind(1)
        if self.embedded:
            return [table(each) for table, each in zip(self.embeddings, numbers, strict=True)]
        # torch's one_hot looks at its values, which vmap over tasks does not allow.
        places = [torch.arange(size, device=categories.device) for size in self.sizes]
        return [(each[:, None] == place).to(categories.dtype) for each, place in zip(numbers, places, strict=True)]
