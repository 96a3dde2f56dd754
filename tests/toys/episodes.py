"""Tasks of few examples, small networks that learn them, and what is handed to base learners."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from toys.tasks import SIDE, signs
from xlearn.base_learners.gradient_descent import GradientDescent
from xlearn.data.episodes import Episodes, Kind
from xlearn.data.task import Batch, Examples, ImageSpec, Sealed, Task, TextSpec
from xlearn.encoders.cnn import Cnn
from xlearn.encoders.conv4 import Conv4
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.label_spaces.functions import Functions
from xlearn.label_spaces.numbers import Numbers
from xlearn.networks.network import Network, Tokens
from xlearn.objectives import PhaseContext
from xlearn.objectives.meta.query_loss import task_losses
from xlearn.runtime.hashing import derive

KIND = Kind(ways=3, shots=2, queries=4, tasks=3)
WAYS = Classes("episode", ("0", "1", "2"))
NUMBER = Numbers("number", ())


def sign_examples(kinds: int = 8, each: int = 10, seed: int = 0, first: int = 0) -> Examples:
    """Signs, at rows from `first` on."""
    raw = signs(kinds=kinds, each=each, seed=seed)
    space = Classes(f"signs{seed}", raw.classes)
    return Examples({"image": raw.inputs["image"]}, raw.labels, first + torch.arange(len(raw.labels)), space)


def sign_task(train: Examples, val: Examples | None = None, name: str = "signs") -> Task:
    none = train.subset(torch.arange(0))
    val = none if val is None else val
    return Task(name, {"image": ImageSpec(1, SIDE, SIDE)}, train.space, train, val, none, Sealed(name, none), name, name)


def line_examples(functions: int = 6, points: int = 12, columns: int = 3) -> Examples:
    """Numbers to predict: linear functions of a few columns, in double precision."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(functions, points, columns, generator=generator, dtype=torch.float64)
    slope = torch.randn(functions, columns, 1, generator=generator, dtype=torch.float64)
    y = (x @ slope).flatten() + 0.1 * torch.randn(functions * points, generator=generator, dtype=torch.float64)
    labels = torch.stack([torch.arange(functions).repeat_interleave(points).double(), y], dim=1)
    space = Functions("lines", tuple(f"f{n}" for n in range(functions)))
    return Examples({"tabular": x.flatten(0, 1)}, labels, torch.arange(len(labels)), space)


class Columns(nn.Module):
    """Columns as they are, or a layer of tanh units on them: smooth, and in double precision."""

    def __init__(self, columns: int, width: int | None = None) -> None:
        super().__init__()
        self.width = width or columns
        self.layer = nn.Sequential(nn.Linear(columns, width), nn.Tanh()) if width else nn.Identity()

    def forward(self, values: Tensor) -> Tokens:
        return Tokens(self.layer(values).unsqueeze(1))


def on_columns(width: int | None = None, outputs: int = 1, columns: int = 3) -> Network:
    """A head for a number (or, of several `outputs`, for the classes of an episode) on `Columns`, in double precision."""
    torch.manual_seed(5)
    encoder = Columns(columns, width)
    head = nn.Linear(encoder.width, outputs)
    space = NUMBER if outputs == 1 else WAYS.episode(outputs)
    return Network({"tabular": encoder}, Concat({"tabular": encoder.width}), {space.key: head}).double()


def on_images(name: str, head: bool = True, seed: int = 0, dropout: float = 0.0) -> Network:
    """mlp | cnn (with batch normalisation) | conv4, with the head of an episode."""
    torch.manual_seed(derive(seed, "signs"))
    spec = ImageSpec(1, SIDE, SIDE)
    made = {
        "mlp": lambda: Mlp(spec, widths=[12, 6], dropout=dropout),
        "cnn": lambda: Cnn(spec, widths=[4, 5], dense=6, normalisation="batch", dropout=dropout),
        "conv4": lambda: Conv4(spec, widths=[4, 4, 4, 4]),
    }
    encoder = made[name]()
    heads = {WAYS.key: nn.Linear(encoder.width, 3)} if head else {}
    return Network({"image": encoder}, Concat({"image": encoder.width}), heads)


def on_text() -> Network:
    torch.manual_seed(7)
    encoder = Lstm(TextSpec(20, 9, "signs"), embedding=4, width=6, dropout=0.0)
    return Network({"text": encoder}, Concat({"text": encoder.width}), {WAYS.key: nn.Linear(encoder.width, 3)})


def episode(kind: Kind = KIND, number: int = 0, whole: Examples | None = None) -> tuple[Batch, Batch, int]:
    """(support, query, tasks) of one step."""
    drawn = Episodes({"signs": sign_examples() if whole is None else whole}, kind, seed=3)(number)
    return drawn["support"], drawn.get("query", drawn["support"]), kind.tasks


def line_episode(support: int = 5, queries: int = 4, tasks: int = 3) -> tuple[Batch, Batch, int]:
    """(support, query, tasks) of functions."""
    return episode(Kind(1, support, queries, tasks), whole=line_examples())


def scattered(learner: Any, network: Network, which: tuple[Batch, Batch, int]) -> dict[str, Tensor]:
    """Gradients of the mean loss on the queries, by name; zeros where there is none."""
    support, query, tasks = which
    network.zero_grad()
    task_losses(query.space, learner(network, support, query, tasks), query.labels).mean().backward()
    return {
        name: torch.zeros_like(each) if each.grad is None else each.grad.clone() for name, each in network.named_parameters()
    }


def begun(network: Network, learner: Any, kind: Kind = KIND) -> PhaseContext:
    return PhaseContext(network, frozenset(), {}, learner=learner, kind=kind)


def moved_statistics(network: Network) -> Network:
    """Running statistics that come near to those of signs."""
    network.train()
    with torch.no_grad():
        for _ in range(15):
            network.features(replace(episode()[0], memo=None))
    return network


def descent(rate: float = 0.1, steps: int = 2, **options: object) -> GradientDescent:
    """Of all weights, one task after the other unless `options` say otherwise."""
    return GradientDescent(rate=rate, steps=steps, **{"vectorised": "never", **options})


def close(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **tolerance, msg=lambda told, name=name: f"{name}: {told}")


def by_task(support: Batch, query: Batch, tasks: int) -> Iterator[list]:
    """(batch, labels, batch, labels) of each task."""
    for task in range(tasks):
        parts = []
        for batch in (support, query):
            size = len(batch) // tasks
            rows = slice(task * size, (task + 1) * size)
            part = replace(batch, inputs={"image": batch.inputs["image"][rows]}, labels=batch.labels[rows])
            parts += [part, part.labels]
        yield parts
