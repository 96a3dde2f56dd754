"""Laws of the statistics, with numpy and scipy as references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xlearn.table.statistics import half_width, holm, mean, paired

numbers = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20)
probabilities = st.lists(st.none() | st.floats(0, 1), max_size=20)


@given(numbers)
def test_mean_is_numpys(values: list[float]) -> None:
    assert mean(values) == np.mean(values)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
def test_interval_is_scipys(values: list[int]) -> None:
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    half = half_width(values)
    assert half is not None
    assert (mean(values) - half, mean(values) + half) == pytest.approx((low, high))


def test_interval_of_one_or_of_equal_values() -> None:
    assert half_width([0.5]) is None
    assert half_width([0.5, 0.5, 0.5]) == 0


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, and never less than the one before.
    assert holm([0.04, 0.01, None, 0.03, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@given(probabilities)
def test_holm_lies_between_the_raw_and_bonferronis_and_keeps_the_order(raw: list[float | None]) -> None:
    pairs = [(p, q) for p, q in zip(raw, holm(raw), strict=True) if p is not None and q is not None]
    assert len(pairs) == sum(p is not None for p in raw)
    assert all(p <= q <= min(1, len(pairs) * p) for p, q in pairs)
    ordered = [q for _, q in sorted(pairs)]
    assert ordered == sorted(ordered)


@given(probabilities)
def test_holm_does_not_depend_on_the_order(raw: list[float | None]) -> None:
    assert holm(raw[::-1]) == holm(raw)[::-1]


def test_paired_is_scipys_and_none_where_t_is_undefined() -> None:
    assert paired([1, 2, 4], [0, 2, 1]) == pytest.approx(stats.ttest_rel([1, 2, 4], [0, 2, 1]).pvalue)
    assert paired([1], [0]) is None
    assert paired([0.7, 0.9], [0.6, 0.8]) is None  # equal up to rounding
    assert paired([1, 2], [1, 2]) is None
    assert paired([1, float("nan")], [0, 0]) is None
    with pytest.raises(ValueError, match="pairs"):
        paired([1, 2], [1])
