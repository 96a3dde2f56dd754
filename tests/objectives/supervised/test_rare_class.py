"""A rare class, with class weights and label smoothing: together they are as good as each alone."""

from functools import partial

import pytest
import torch
from torch import nn

import xlearn
from xlearn.data.task import Examples, Sealed, TabularSpec, Task
from xlearn.encoders.tabular_mlp import TabularMlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.objectives.supervised.cross_entropy import CrossEntropy

SPACE = Classes("rare", ("common", "rare"))
SPEC = TabularSpec(("p", "q"), "")


def drawn(common: int, rare: int, seed: int) -> Examples:
    """The common class from N(0, 1), the rare one from N(4, 1), in two columns."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0] * common + [1] * rare)
    columns = torch.randn(len(labels), 2, generator=generator) + 4.0 * labels[:, None]
    return Examples({"tabular": columns}, labels, torch.arange(len(labels)), SPACE, specs={"tabular": SPEC})


def task() -> Task:
    train, test = drawn(2000, 20, 0), drawn(2000, 20, 1)
    none = train.subset(torch.arange(0))
    return Task("rare", {"tabular": SPEC}, SPACE, train, none, none, Sealed("rare", test), "rare", "rare")


def scores(objective: object) -> tuple[float, float]:
    """Accuracy and balanced accuracy on as many other examples."""
    torch.manual_seed(0)
    encoder = TabularMlp(SPEC, widths=[32])
    network = xlearn.Network({"tabular": encoder}, Concat({"tabular": 32}), {SPACE.key: nn.Linear(32, 2)})
    given = task()
    xlearn.fit(network, given, steps=150, objective=objective, optimizer=partial(torch.optim.Adam, lr=0.01))
    found = xlearn.evaluate(network, given, split="test")
    return found["accuracy"], found["balanced_accuracy"]


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": "balanced"},
        {"label_smoothing": 0.1},
        {"class_weights": "balanced", "label_smoothing": 0.1},  # with torch's form of both: accuracy .01
        {"class_weights": "effective", "label_smoothing": 0.3},
    ],
    ids=str,
)
def test_weights_and_smoothing_learn_a_rare_class(options):
    accuracy, balanced = scores(partial(CrossEntropy, **options))
    assert accuracy > 0.98 and balanced > 0.97
