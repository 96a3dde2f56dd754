"""Laws of splitting: whatever the data, the options and the seed."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.tasks import FRUITS, fruits, parts, rows_of

from xlearn.data.options import TaskOptions
from xlearn.data.splits import chosen_classes, split
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.runtime.errors import Problem

counts = st.lists(st.integers(1, 40), min_size=2, max_size=5)
seeds = st.integers(0, 2**31)
shares = st.floats(0.05, 0.95)


@given(counts, seeds, shares, st.floats(0, 0.95), st.none() | st.floats(0.01, 1))
def test_every_row_is_in_exactly_one_split(counts, seed, test, val, fraction):
    data = fruits(counts)
    found = split(data, TaskOptions(test=test, val=val, fraction=fraction), seed, "target")
    assert sorted(rows_of(found)) == list(range(len(data.labels)))
    for rows in parts(found).values():
        assert rows == sorted(rows)


@given(counts, seeds, shares, st.floats(0, 0.95))
def test_every_class_gets_its_share_of_every_split(counts, seed, test, val):
    data = fruits(counts)
    found = split(data, TaskOptions(test=test, val=val), seed, "target")
    for label, count in enumerate(counts):
        tested, validated, trained = (int((data.labels[part] == label).sum()) for part in (found.test, found.val, found.train))
        assert abs(tested - test * count) <= 1
        rest = count - tested
        if rest > 2:
            assert abs(validated - val * rest) <= 1
        assert trained >= 1
        assert tested >= (count > 1)


@given(counts, seeds)
def test_the_seed_alone_decides(counts, seed):
    data = fruits(counts)
    assert parts(split(data, TaskOptions(), seed, "a")) == parts(split(data, TaskOptions(), seed, "b"))


def test_another_seed_draws_other_rows():
    data = fruits([50, 50])
    tests = {tuple(split(data, TaskOptions(), seed, "t").test.tolist()) for seed in range(20)}
    assert len(tests) == 20


@given(seeds, st.integers(1, 5), st.floats(0, 0.5), st.permutations(FRUITS[:3]))
def test_test_rows_ignore_what_a_task_makes_of_the_rest(seed, shots, val, order):
    data = fruits([20, 30, 25])
    whole = split(data, TaskOptions(), seed, "t")
    few = split(data, TaskOptions(shots=shots, val=val), seed, "t")
    fraction = split(data, TaskOptions(fraction=0.3), seed, "t")
    assert torch.equal(whole.test, few.test) and torch.equal(whole.test, fraction.test)
    some = split(data, TaskOptions(classes=list(order[:2])), seed, "t")
    wanted = [FRUITS.index(name) for name in order[:2]]
    expected = whole.test[torch.isin(data.labels[whole.test], torch.tensor(wanted))]
    assert torch.equal(some.test, expected)


@given(seeds, st.integers(1, 8), st.integers(1, 8))
def test_more_shots_contain_fewer(seed, one, other):
    data = fruits([20, 30, 25])
    few, many = sorted((one, other))
    small, large = (split(data, TaskOptions(shots=shots), seed, "t") for shots in (few, many))
    assert set(small.train.tolist()) <= set(large.train.tolist())
    assert torch.bincount(data.labels[small.train]).tolist() == [few] * 3
    # Who has few labels has few to select with; what is over is unlabeled, not lost.
    assert int(torch.bincount(data.labels[small.val]).max()) <= few
    assert sorted(rows_of(small)) == list(range(75))


@given(st.lists(st.integers(5, 30), min_size=2, max_size=4), seeds, st.integers(2, 5), st.booleans())
def test_folds_test_every_row_once(counts, seed, folds, official):
    marks = torch.tensor([TEST if row % 3 == 0 else OPEN for row in range(sum(counts))], dtype=torch.int8)
    data = fruits(counts, marks if official else None)
    found = [split(data, TaskOptions(folds=folds, fold=fold), seed, "t") for fold in range(folds)]
    assert sorted(row for each in found for row in each.test.tolist()) == list(range(sum(counts)))
    for each in found:
        assert sorted(rows_of(each)) == list(range(sum(counts)))
        for label, count in enumerate(counts):
            assert abs(int((data.labels[each.test] == label).sum()) - count / folds) < 1


def test_official_splits_are_kept():
    marks = torch.tensor([OPEN, VAL, TEST, OPEN, OPEN] * 20, dtype=torch.int8)
    data = fruits([60, 40], marks)
    found = split(data, TaskOptions(val=0.5, test=0.5), 0, "t")
    assert torch.equal(found.test, torch.nonzero(marks == TEST).flatten())
    assert torch.equal(found.val, torch.nonzero(marks == VAL).flatten())
    assert torch.equal(found.train, torch.nonzero(marks == OPEN).flatten())


def test_without_an_official_test_one_is_drawn_from_the_training_rows():
    marks = torch.tensor([VAL if row % 5 == 0 else OPEN for row in range(100)], dtype=torch.int8)
    data = fruits([60, 40], marks)
    found = split(data, TaskOptions(test=0.25), 0, "t")
    assert torch.equal(found.val, torch.nonzero(marks == VAL).flatten())
    assert not set(found.test.tolist()) & set(found.val.tolist())
    assert abs(len(found.test) - 20) <= 2


def test_classes_by_name_and_by_position():
    data = fruits([5, 5, 5])
    assert chosen_classes(data, TaskOptions(classes=["cherry", 0]), "t") == [2, 0]
    digits = replace(data, classes=("3", "5", "0"))
    # A name wins over a position: class "0" of digits is meant, not the first class.
    assert chosen_classes(digits, TaskOptions(classes=[0, 1]), "t") == [2, 1]
    assert chosen_classes(data, TaskOptions(), "t") == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shots": 18}, ["target.shots=18", "'apple'", "14 training examples", "at most 14"]),
        ({"shots": -1}, ["target.shots=-1", "0 (no labels) or more"]),
        ({"classes": ["aple", "banana"]}, ["target.classes", "'aple'", "Did you mean 'apple'"]),
        ({"classes": ["apple", "apple"]}, ["twice"]),
        ({"classes": ["apple"]}, ["fewer than 2"]),
        ({"classes": [-1, 0]}, ["-1 is no class"]),
        ({"shots": 1, "fraction": 0.5}, ["target.fraction=0.5", "shots is set too"]),
        ({"fraction": 0.0}, ["target.fraction=0.0"]),
        ({"fraction": 1.5}, ["target.fraction=1.5"]),
        ({"val": 1.0}, ["target.val=1.0"]),
        ({"test": 0.0}, ["target.test=0.0"]),
        ({"folds": 1}, ["target.folds=1"]),
        ({"fold": 2}, ["target.fold=2", "folds is null"]),
        ({"folds": 3, "fold": 3}, ["target.fold=3", "0 to 2"]),
        ({"folds": 3, "fold": -1}, ["target.fold=-1"]),
        ({"folds": 21}, ["target.folds=21", "'apple' has 20 examples", "at most 20"]),
    ],
)
def test_what_cannot_be_is_told(options, words):
    with pytest.raises(Problem) as told:
        split(fruits([20, 30]), TaskOptions(**options), 0, "target")
    for word in words:
        assert word in str(told.value)
