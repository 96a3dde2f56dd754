"""Floors that a number stands beside: the majority class, against counts by hand."""

import math
from dataclasses import replace

import pytest
import torch
from toys.tasks import blobs, prepared

from xlearn.data.tasks import Raw
from xlearn.results.gains import floor


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
    found = floor(task, task.test.examples)
    shares = [7 / 43, 22 / 43, 14 / 43]
    nll = -sum(count * math.log(share) for count, share in zip((2, 6, 4), shares, strict=True)) / 12
    assert found["accuracy"] == 6 / 12 and found["worst_class"] == 0
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
