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
