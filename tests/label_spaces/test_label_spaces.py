"""The label spaces of the package: heads, losses, floors, groups and episodes, by hand-worked cases."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from xlearn.label_spaces import LabelSpace
from xlearn.label_spaces.classes import Classes, need_classes
from xlearn.label_spaces.functions import Functions
from xlearn.label_spaces.numbers import Numbers
from xlearn.runtime.errors import Problem

FRUITS = Classes("fruit", ("apple", "banana", "cherry"))
WAVES = Functions("waves", ("a", "b", "c"))
SPACES = [FRUITS, Numbers("number", ()), WAVES]


@pytest.mark.parametrize("space", SPACES, ids=lambda each: each.kind + each.group)
def test_laws_of_every_label_space(space: LabelSpace):
    """The head gives `width` outputs; the default metric and its direction are there; the loss is the mean of the losses."""
    torch.manual_seed(0)
    outputs = space.head(4)(torch.randn(6, 4)).detach()
    labels = {"Classes": torch.arange(6) % 3, "Numbers": torch.randn(6)}.get(type(space).__name__)
    labels = torch.stack([torch.arange(6.0) % 3, torch.randn(6)], 1) if labels is None else labels
    assert outputs.shape == (6, space.width) and space.metric in space.metrics
    assert space.losses(outputs, labels).shape == (6,)
    torch.testing.assert_close(space.loss(outputs, labels), space.losses(outputs, labels).mean())
    assert space.strata(labels).shape == (6,) and space.strata(labels).dtype == torch.int64
    if not space.only_in_episodes:
        assert space.score(space.metric, outputs, labels) == pytest.approx(space.measure(outputs, labels)[space.metric])
    assert space.described()["higher_is_better"] == dict(space.metrics)


def test_the_head_of_classes_is_a_linear_layer_of_the_same_draws():
    torch.manual_seed(3)
    made = FRUITS.head(5)
    torch.manual_seed(3)
    assert torch.equal(made.weight, nn.Linear(5, 3).weight) and FRUITS.key.startswith("fruit3_")


def test_mixed_labels_of_classes_have_a_loss():
    outputs, mixed = torch.randn(4, 3), torch.rand(4, 3).softmax(1)
    torch.testing.assert_close(FRUITS.loss(outputs, mixed), functional.cross_entropy(outputs, mixed))


def test_floors():
    """3 of 4 are class 1; without labels all are equally probable. The mean of 1, 2 and 6 is 3."""
    shares = FRUITS.floor(torch.tensor([1, 1, 0, 1]), 2)
    assert shares.shape == (2, 3) and shares[0, :2].tolist() == pytest.approx([math.log(0.25), math.log(0.75)])
    assert FRUITS.floor(None, 2).tolist() == [[0.0] * 3] * 2
    number = Numbers("number", ())
    assert number.floor(torch.tensor([1.0, 2.0, 6.0]), 2).tolist() == [[3.0], [3.0]] and number.floor(None, 2) is None


def test_numbers_are_measured_by_the_squared_error():
    found = Numbers("number", ()).measure(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 2.0]))
    assert found == {"mse": 2.0} and Numbers.metrics["mse"] is False
    assert Numbers("number", ()).correct(torch.zeros(2, 1), torch.zeros(2)) is None


def test_classes_and_functions_can_be_chosen_among():
    """The second and the first are kept, in this order."""
    groups = torch.tensor([1, 0, -1])
    assert FRUITS.regrouped(torch.tensor([0, 1, 2, 0]), groups).tolist() == [1, 0, -1, 1]
    labels = torch.tensor([[0.0, 0.5], [1.0, 0.7], [2.0, 0.1]])
    assert WAVES.regrouped(labels, groups)[:, 0].tolist() == [1, 0, -1] and labels[0, 0] == 0
    assert WAVES.strata(labels).tolist() == [0, 1, 2]


def test_episodes_of_classes_and_of_functions():
    labels = torch.tensor([7, 7, 2, 2, 4, 4, 1, 1])
    assert FRUITS.episode_labels(labels, (2, 2, 2)).tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert FRUITS.episode(2) == Classes("episode", ("0", "1")) and FRUITS.no_episodes(1) and not FRUITS.no_episodes(2)
    values = torch.tensor([[2.0, 0.5], [2.0, 0.7]])
    assert WAVES.episode_labels(values, (1, 1, 2)).tolist() == values[:, 1:].tolist()
    assert WAVES.episode(1) == Numbers("number", ()) and "episodes.ways=1" in WAVES.no_episodes(5) and not WAVES.no_episodes(1)
    assert Numbers("number", ()).no_episodes(1)


def test_what_is_defined_by_classes_is_refused_elsewhere():
    need_classes(FRUITS, "focal", "")
    with pytest.raises(Problem, match=r"focal is defined for classes, but the labels here are numbers\. Use another\."):
        need_classes(Numbers("number", ()), "focal", "Use another.")
