"""Small networks and encoders."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from toys.tasks import PAIRED, SPEC
from xlearn.data.columns import Ragged
from xlearn.data.task import Examples, ImageSpec, TabularSpec, TextSpec
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.concat import Concat
from xlearn.fusion.mean import Mean
from xlearn.networks.network import Network, Tokens
from xlearn.runtime.hashing import derive

LOGITS = [[2.0, 0.0, -1.0], [0.5, 0.5, 0.0], [0.0, 3.0, 1.0]]


def image_network(given: Examples, dropout: float = 0.0, seed: int = 0) -> Network:
    """An MLP on 6 x 6 images with a head for the label space of `given`."""
    torch.manual_seed(derive(seed, "toy"))
    encoder = Mlp(SPEC, widths=[16, 8], dropout=dropout)
    fusion = Concat({"image": encoder.width})
    head = nn.Linear(fusion.width, len(given.space.classes))
    return Network({"image": encoder}, fusion, {given.space.key: head})


def normalised_network(given: Examples) -> Network:
    """The same with a normalisation over the batch."""
    network = image_network(given)
    network.encoder["image"].blocks[0].append(nn.BatchNorm1d(16))
    return network


def pair_network(fusion: Callable[[dict[str, int]], Any] | None = None, seed: int = 0) -> Network:
    """Reads `tasks.pair_batch`."""
    torch.manual_seed(seed)
    encoders = {"image": Mlp(SPEC, widths=[8]), "tabular": TabularMlp(TabularSpec(("a", "b"), ""), widths=[6])}
    joined = (fusion or partial(Mean, width=4))({name: each.width for name, each in encoders.items()})
    return Network(encoders, joined, {PAIRED.key: nn.Linear(joined.width, 2)})


class Fixed(nn.Module):
    """A network whose logits are given."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, batch: object) -> Tensor:
        return self.logits


class Ready(Mlp):
    """Brings weights of its own: nothing but ones."""

    def __init__(self, spec: ImageSpec, *, widths: list[int], dropout: float = 0.0, weights: str | None = None) -> None:
        super().__init__(spec, widths=widths, dropout=dropout)
        for parameter in self.parameters() if weights else ():
            nn.init.ones_(parameter)


class Form:
    """Texts as their bytes."""

    spec = TextSpec(256, 40, "letters", None)

    def __call__(self, pool: Any) -> tuple[Ragged, dict]:
        texts = pool.raw.inputs["text"]
        return Ragged.of([torch.tensor([*text.encode()[:40]], dtype=torch.int32) for text in texts]), {}


class Letters(nn.Module):
    """An encoder of texts with a form of its own: the mean of an embedding of bytes, and a layer."""

    width = 16

    def __init__(self, spec: TextSpec, *, embedding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 16)
        self.layer = nn.Linear(16, 16)

    @staticmethod
    def format(pools: object, options: object, **others: object) -> Form:
        return Form()

    def forward(self, texts: tuple[Tensor, Tensor]) -> Tokens:
        values, mask = texts
        found = self.embedding(values.long()) * mask.unsqueeze(-1)
        return Tokens(self.layer(found.sum(1, keepdim=True) / mask.sum(1).clamp_min(1)[:, None, None]))


def encoder_gradient(network: Network, loss: Tensor) -> Tensor:
    names = [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, [network.get_parameter(name) for name in names])])


def shift(module: nn.Module, by: float) -> None:
    """Move all parameters."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by


def below_head(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.startswith("head.")}
