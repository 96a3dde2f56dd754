"""What is kept of the outputs of many examples measures as the outputs do."""

from dataclasses import dataclass

import pytest
import torch
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import blobs_task

from xlearn.label_spaces.numbers import Numbers
from xlearn.networks import predictions as module
from xlearn.networks.evaluate import logits
from xlearn.networks.predictions import Predictions, predict


@pytest.fixture
def few(monkeypatch):
    """Outputs of more than 2 numbers are not kept."""
    monkeypatch.setattr(module, "LARGEST", 2)


def test_the_outputs_are_kept():
    given = blobs_task().train
    network = image_network(given)
    found, whole = predict(network, given, CPU), logits(network, given, CPU)
    assert found.tensors.keys() == {"logits"} and torch.equal(found.tensors["logits"], whole)
    assert not found.tensors["logits"].is_inference()
    assert found.measure() == given.space.measure(whole, given.labels)


def test_what_is_kept_of_many_outputs_measures_the_same(few, monkeypatch):
    given = blobs_task().train
    network = image_network(given)
    monkeypatch.setattr("xlearn.networks.evaluate.BATCH", 7)
    found, whole = predict(network, given, CPU), logits(network, given, CPU)
    assert found.tensors.keys() == {"predicted", "confidence", "log_probability"}
    assert {tuple(each.shape) for each in found.tensors.values()} == {(len(given),)}
    assert torch.equal(found.tensors["predicted"], whole.argmax(1))
    expected, made = given.space.measure(whole, given.labels), found.measure()
    for name, value in expected.items():
        assert made[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
    for metric in given.space.metrics:
        assert found.score(metric) == pytest.approx(given.space.score(metric, whole, given.labels), rel=1e-6)
    assert torch.equal(found.correct(), given.space.correct(whole, given.labels))


@dataclass(frozen=True)
class Rounded(Numbers):
    """Has no shorter form of its outputs."""


def test_a_label_space_without_a_shorter_form_keeps_its_outputs(few):
    labels, outputs = torch.tensor([1.0, 3.0]), torch.tensor([[2.0], [3.0]])
    space = Rounded("number", ())
    found = Predictions(space, labels, space.reduced(outputs, labels))
    assert found.measure() == {"mse": 0.5} and found.correct() is None
    assert space.measure_reduced(found.tensors, labels) == {"mse": 0.5} and space.correct_reduced(found.tensors, labels) is None
