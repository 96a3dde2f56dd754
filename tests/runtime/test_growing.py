"""Columns that are written while they are made, against safetensors' own reader."""

import numpy
import pytest
import torch
from safetensors.torch import load_file

from xlearn.runtime.growing import kept_growing
from xlearn.runtime.storage import cache_root, is_mapped

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(("kind", "row"), [("uint8", (3, 5)), ("float32", ()), ("int64", (2,))])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_rows_come_back_with_the_small_columns(kind, row, count):
    rows = [numpy.full(row or (3,), number, kind) for number in range(count)]
    small = {"a": torch.arange(3), "b": torch.tensor([True, False, True]), "c": torch.tensor(5), "d": torch.rand(2, 3)}

    def make(write):
        for each in rows:
            write(each)
        return small

    found = kept_growing("key", "values", kind, row, make)
    expected = numpy.stack(rows) if rows else numpy.zeros((0, *row), kind)
    assert numpy.array_equal(found.pop("values").numpy(), expected.reshape(-1, *row))
    assert found.keys() == small.keys() and all(torch.equal(found[name], small[name]) for name in small)
    again = kept_growing("key", "values", kind, row, lambda _: pytest.fail("made twice"))
    assert is_mapped(again["values"]) and torch.equal(again["d"], small["d"])
    assert load_file(cache_root() / "data" / "key.safetensors").keys() >= small.keys()


def test_what_fails_leaves_no_file():
    def make(write):
        write(numpy.zeros(3, numpy.uint8))
        raise ValueError

    with pytest.raises(ValueError):
        kept_growing("broken", "values", "uint8", (3,), make)
    assert not [*(cache_root() / "data").glob("*.safetensors")]
