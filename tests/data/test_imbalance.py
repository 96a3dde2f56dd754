"""A task with a long tail: by hand, and only labels are taken away."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.tasks import fruits, parts, rows_of

from xlearn.data.options import TaskOptions
from xlearn.data.splits import split
from xlearn.runtime.errors import Problem


def labelled(data, **options):
    found = split(data, TaskOptions(**options), 0, "t")
    return torch.bincount(data.labels[found.train], minlength=len(data.classes)).tolist()


def test_a_long_tail_by_hand():
    data = fruits([100, 100, 100])
    # 20 of 100 are for the test, 8 of 80 for validation: 72, times 1, 0.1 and 0.01, and at least one.
    assert labelled(data) == [72, 72, 72]
    assert labelled(data, imbalance=0.01) == [72, 7, 1]
    assert labelled(data, imbalance=0.25) == [72, 36, 18]
    assert labelled(data, imbalance=0.25, shots=20) == [20, 10, 5]
    assert labelled(data, imbalance=0.25, fraction=0.5) == [36, 18, 9]
    assert labelled(data, imbalance=0.25, classes=["cherry", "apple"]) == [18, 0, 72]
    groups = {"stone": ["cherry"], "other": ["banana", "apple"]}
    assert labelled(data, imbalance=0.25, groups=groups) == [18, 36, 72]
    assert labelled(fruits([100, 50, 100]), imbalance=0.25) == [72, 18, 18]  # of what each class has
    assert labelled(fruits([1, 1, 5]), imbalance=0.01, val=0.0) == [1, 1, 1]


@given(
    st.lists(st.integers(6, 40), min_size=2, max_size=5),
    st.integers(0, 2**31),
    st.floats(0.001, 1),
    st.sampled_from([{}, {"shots": 3}, {"fraction": 0.5}, {"folds": 3, "fold": 1}]),
)
def test_a_long_tail_only_takes_labels_away(counts, seed, imbalance, options):
    data = fruits(counts)
    whole = split(data, TaskOptions(**options), seed, "t")
    tail = split(data, TaskOptions(**options, imbalance=imbalance), seed, "t")
    assert torch.equal(tail.test, whole.test) and torch.equal(tail.val, whole.val)
    assert set(tail.train.tolist()) <= set(whole.train.tolist())
    assert sorted(rows_of(tail)) == list(range(len(data.labels)))
    assert set(data.labels[tail.train].tolist()) == set(range(len(counts)))
    assert parts(split(data, TaskOptions(**options, imbalance=1.0), seed, "t")) == parts(whole)


@pytest.mark.parametrize("imbalance", [0.0, -0.1, 1.5, math.nan])
def test_an_imbalance_out_of_range_is_refused(imbalance):
    with pytest.raises(Problem, match=rf"^target.imbalance={imbalance}: give a share in \(0, 1\], e.g. 0.01, or null\.$"):
        split(fruits([20, 30]), TaskOptions(imbalance=imbalance), 0, "target")
