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
from xlearn.objectives.supervised.focal import Focal

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
    xlearn.fit(network, given, steps=300, objective=objective, optimizer=partial(torch.optim.Adam, lr=0.01))
    found = xlearn.evaluate(network, given, split="test")
    return found["accuracy"], found["balanced_accuracy"]


@pytest.mark.parametrize("sort", ["balanced", "effective"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_weights_and_smoothing_learn_a_rare_class(sort, smoothing):
    accuracy, balanced = scores(partial(CrossEntropy, class_weights=sort, label_smoothing=smoothing))
    assert accuracy > 0.98 and balanced > 0.97


@pytest.mark.parametrize(
    "objective", [partial(CrossEntropy, label_smoothing=0.1), partial(Focal, gamma=2.0, class_weights="balanced")]
)
def test_so_do_smoothing_alone_and_weighted_focal_loss(objective):
    accuracy, balanced = scores(objective)
    assert accuracy > 0.98 and balanced > 0.9
