"""Columns: sequences without padding, against loops over examples."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from xlearn.data.columns import Ragged, Sequences, offsets, subset, take

lengths = some.lists(some.integers(0, 6), min_size=1, max_size=8)


def sequences(sizes, width=2):
    return [torch.arange(1.0, size * width + 1).reshape(size, width) + 100 * row for row, size in enumerate(sizes)]


@settings(deadline=None, max_examples=60)
@given(lengths, some.data())
def test_subset_and_take_are_what_a_loop_makes(sizes, data):
    each = sequences(sizes)
    column = Ragged.of(each)
    assert len(column) == len(sizes) and column.lengths.tolist() == sizes
    index = data.draw(some.lists(some.integers(0, len(sizes) - 1), min_size=1, max_size=10))
    chosen = column.subset(torch.tensor(index))
    for position, row in enumerate(index):
        assert torch.equal(chosen.values[chosen.offsets[position] : chosen.offsets[position + 1]], each[row])
    found = column.take(torch.tensor(index))
    expected = torch.nn.utils.rnn.pad_sequence([each[row] for row in index], batch_first=True)
    assert found.values.shape[1] == max(1, max(sizes[row] for row in index))
    assert torch.equal(found.values[:, : expected.shape[1]], expected)
    assert found.mask.sum(1).tolist() == [sizes[row] for row in index]
    assert not found.values[~found.mask].any() and bool((found.mask.int().diff(dim=1) <= 0).all())
    again = data.draw(some.lists(some.integers(0, len(index) - 1), min_size=1, max_size=5))
    twice, once = chosen.subset(torch.tensor(again)), column.subset(torch.tensor([index[row] for row in again]))
    assert torch.equal(twice.values, once.values) and torch.equal(twice.offsets, once.offsets)


def test_nothing_but_empty_sequences():
    column = Ragged.of([torch.zeros(0, 3), torch.zeros(0, 3)])
    found = column.take(torch.tensor([1, 0]))
    assert found.values.shape == (2, 1, 3) and not found.mask.any() and len(column.subset(torch.tensor([0]))) == 1
    numbers = Ragged(torch.zeros(0, dtype=torch.int32), torch.zeros(4, dtype=torch.int64)).take(torch.arange(3))
    assert numbers.values.dtype == torch.int32 and numbers.values.shape == (3, 1)


def test_padding_hides_what_is_not_finite():
    column = Ragged.of([torch.tensor([1.0]), torch.tensor([float("nan"), float("inf")])])
    assert column.take(torch.tensor([0, 1])).values[0].tolist() == [1.0, 0.0]


def test_no_examples_at_all():
    assert len(Ragged.of([torch.ones(3)]).subset(torch.arange(0))) == 0


def test_tensors_go_the_same_way():
    column = torch.arange(6).reshape(3, 2)
    index = torch.tensor([2, 0])
    assert torch.equal(subset(column, index), column[index]) and torch.equal(take(column, index), column[index])
    ragged = Ragged.of([torch.ones(2), torch.ones(1)])
    assert isinstance(take(ragged, torch.tensor([0])), Sequences) and isinstance(subset(ragged, index[1:]), Ragged)
    assert offsets([2, 0, 1]).tolist() == [0, 2, 2, 3]
    assert len(ragged.take(torch.tensor([0, 1, 1]))) == 3
