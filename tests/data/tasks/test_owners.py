"""Numbers of owners, by hand."""

import math

import pytest

from xlearn.data.tasks.owners import owners


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["ann", "bob", "ann"], [0, 1, 0]),
        (["ann", None, "", " ", math.nan, None, "ann "], [0, 1, 2, 3, 4, 5, 0]),
        ([7, 3, 7.0, 3], [0, 1, 0, 1]),
        ([], []),
    ],
)
def test_equal_values_are_one_owner_and_a_missing_one_is_one_of_its_own(values, expected):
    assert owners(values).tolist() == expected
