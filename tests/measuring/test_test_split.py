"""The test split: floors that a number stands beside, against counts by hand, and what is kept of the predictions."""

import math
from dataclasses import replace

import pytest
import torch
from toys.networks import image_network
from toys.phases import CPU
from toys.tasks import blobs, prepared

from xlearn import measuring
from xlearn.data.tasks import Raw
from xlearn.metrics.measure import scalars
from xlearn.runtime.memory import Kept


def uneven() -> Raw:
    """10, 30 and 20 bright squares of three classes."""
    data = blobs()
    rows = torch.cat([torch.arange(10), 40 + torch.arange(30), 80 + torch.arange(20)])
    return replace(data, inputs={"image": data.inputs["image"][rows]}, labels=data.labels[rows])


@pytest.mark.parametrize("shots", [0, 2, 7])
def test_the_majority_is_that_of_all_training_rows_with_labels_or_without(shots):
    """2, 6 and 4, a fifth, are for the test, and 1, 2 and 2 to validate. Of 7, 22 and 14 that are left some have labels."""
    task = prepared(uneven, shots=shots)
    assert torch.bincount(task.train.labels, minlength=3).tolist() == [shots] * 3
    found = measuring.TestSplit(None).floor(task, task.test.examples, measuring.Measured({}, {}))
    shares = [7 / 43, 22 / 43, 14 / 43]
    nll = -sum(count * math.log(share) for count, share in zip((2, 6, 4), shares, strict=True)) / 12
    assert found["accuracy"] == 6 / 12 and found["worst_class"] == 0
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("cached", [False, True])
def test_predictions_of_many_outputs_hold_what_the_metrics_need(cached, monkeypatch):
    task = prepared(uneven)
    network, asked = image_network(task.train), measuring.Asked(0, "accuracy", CPU, cached)
    monkeypatch.setattr("xlearn.measuring.cached_logits._held", Kept())
    whole = measuring.TestSplit(None)(network, task, task.test.examples, [], asked)
    monkeypatch.setattr("xlearn.measuring.cached_logits._held", Kept())
    monkeypatch.setattr("xlearn.networks.predictions.LARGEST", 2)
    found = measuring.TestSplit(None)(network, task, task.test.examples, [], asked)
    assert whole.tensors.keys() == {"logits", "labels", "rows"}
    assert found.tensors.keys() == {"predicted", "confidence", "log_probability", "labels", "rows"}
    assert torch.equal(found.tensors["predicted"], whole.tensors["logits"].argmax(1))
    assert torch.equal(found.correct["correct"], whole.correct["correct"])
    assert scalars(found.metrics) == pytest.approx(scalars(whole.metrics), rel=1e-6)
    assert found.metrics["confusion_matrix"] == whole.metrics["confusion_matrix"]


def above(task, logits, metric="accuracy"):
    given = measuring.Measured({}, {"logits": logits, "labels": task.test.examples.labels, "rows": task.test.examples.rows})
    return measuring.TestSplit(None).above_floor(task, task.test.examples, given, measuring.Asked(0, metric, CPU))


METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "macro_recall", "worst_class", "nll", "calibration_error"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_majority_has_not_learned_and_what_knows_the_labels_has(metric):
    task = prepared(uneven)
    labels = task.test.examples.labels
    majority = task.labels.floor(task.train.labels, len(labels))
    assert not above(task, majority, metric).learned
    known = torch.nn.functional.one_hot(labels, 3) * 5.0
    assert above(task, known, metric).learned
    wrong = torch.nn.functional.one_hot((labels + 1) % 3, 3) * 5.0
    assert not above(task, wrong, metric).learned


def test_a_difference_to_the_majority_is_counted_by_hand():
    """2, 6 and 4 examples, of which the network gets 1, 6 and 1 right: 2 are gained on the majority and none lost."""
    task = prepared(uneven)
    guessed, seen = torch.ones(12, dtype=torch.int64), {0: 0, 2: 0}
    for place, label in enumerate(task.test.examples.labels.tolist()):
        if label in seen and not seen[label]:
            guessed[place], seen[label] = label, 1
    found = above(task, torch.nn.functional.one_hot(guessed, 3) * 5.0)
    assert found.difference.value == pytest.approx(2 / 12)
    middle = 6 / 12 * 3 / 8 - 6 / 12 * 1 / 8
    assert (found.difference.low + found.difference.high) / 2 == pytest.approx(middle)
    assert not found.learned and found.described()["above_floor"]["metric"] == "accuracy"


def test_the_difference_is_the_same_where_the_outputs_are_not_kept(monkeypatch):
    task = prepared(uneven)
    network, asked = image_network(task.train), measuring.Asked(0, "nll", CPU)
    test, found = task.test.examples, []
    for largest in (2**26, 2):
        monkeypatch.setattr("xlearn.networks.predictions.LARGEST", largest)
        measured = measuring.TestSplit(None)(network, task, test, [], asked)
        found.append(measuring.TestSplit(None).above_floor(task, test, measured, asked).difference)
    assert found[0] == pytest.approx(found[1])


def test_a_network_of_numbers_is_compared_with_their_mean():
    from xlearn.label_spaces.numbers import Numbers

    space, count = Numbers("number", ()), 60
    labels = torch.randn(count, generator=torch.Generator().manual_seed(0))
    base = prepared(uneven)
    examples = replace(base.test.examples.subset(torch.zeros(count, dtype=torch.int64)), labels=labels, space=space)
    task = replace(base, labels=space, train=examples, unlabeled=examples.subset(torch.arange(0)))
    for outputs, learned in ((labels * 0.5, True), (labels.mean().expand(count), False), (-labels, False)):
        given = measuring.Measured({}, {"logits": outputs[:, None], "labels": labels, "rows": examples.rows})
        found = measuring.TestSplit(None).above_floor(task, examples, given, measuring.Asked(0, "mse", CPU))
        assert found.learned == learned
        mse = float((labels - labels.mean()).square().mean() - (labels - outputs).square().mean())
        assert found.difference.value == pytest.approx(mse, abs=1e-5)
