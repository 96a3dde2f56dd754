"""Intervals of paired differences: against formulas written out, against scipy, and how often they hold the truth."""

import math

import pytest
import torch
from scipy import stats

from xlearn.metrics.paired import by_bootstrap, over_constant


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_right_and_wrong_have_the_interval_of_price_and_bonett():
    """The second is wrong in 15 of 40 examples, of which the first has 9 right, and right in 25, of which it has 3 wrong."""
    second = torch.tensor([0.0] * 15 + [1.0] * 25)
    first = torch.tensor([1.0] * 9 + [0.0] * 6 + [0.0] * 3 + [1.0] * 22)
    p, q = 10 / 17, 4 / 27
    half = stats.norm.ppf(0.975) * math.sqrt((15 / 40) ** 2 * p * (1 - p) / 17 + (25 / 40) ** 2 * q * (1 - q) / 27)
    middle = 15 / 40 * p - 25 / 40 * q
    found = over_constant(first, second)
    assert found.value == pytest.approx(6 / 40)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))


def test_equal_predictions_have_an_interval_around_zero_that_shrinks():
    widths = []
    for count in (10, 100, 1000):
        right = (torch.rand(count, generator=drawn(count)) < 0.3).double()
        value, low, high = over_constant(right, right)
        assert value == 0 and low < 0 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_other_values_have_the_interval_of_student():
    first, second = torch.randn(2, 30, dtype=torch.float64, generator=drawn(0))
    theirs = stats.ttest_rel(first, second).confidence_interval(0.95)
    value, *ends = over_constant(first, second)
    assert value == pytest.approx(float((first - second).mean())) and ends == pytest.approx([*theirs])


@pytest.mark.parametrize("values", [torch.tensor([0.5]), torch.tensor([0.5, math.nan]), torch.tensor([0.5, math.inf])])
def test_no_interval_of_one_value_or_of_what_is_not_finite(values):
    assert over_constant(values, torch.zeros_like(values))[1:] == (None, None)


@pytest.mark.parametrize(("own", "count"), [(0.2, 30), (0.2, 300), (0.5, 30), (0.5, 300), (0.95, 60)])
def test_the_true_difference_to_a_majority_of_a_third_is_covered(own, count):
    """The majority is right in a third of the examples; the network is right independently, with probability `own`."""
    truth, runs = own - 1 / 3, 1500
    right = (torch.rand(runs, count, generator=drawn(count)) < own).double()
    majority = (torch.arange(count) % 3 == 0).double()
    found = [over_constant(each, majority) for each in right]
    covered = sum(each.low <= truth <= each.high for each in found) / runs
    assert 0.935 < covered < 0.975


@pytest.mark.parametrize("imbalance", [0.02, 0.2])
def test_a_rare_class_is_enough_to_have_learned(imbalance):
    """The majority is right in 98 or 80 % of 1,000 examples; who also finds half of the others has learned."""
    majority = (torch.arange(1000) >= 1000 * imbalance).double()
    right = majority.clone()
    right[: int(500 * imbalance)] = 1
    assert over_constant(right, majority).low > 0 and over_constant(majority, majority).low < 0


def test_another_constant_prediction_has_not_learned():
    majority = torch.tensor([1.0] * 50 + [0.0] * 51)
    assert over_constant(1 - majority, majority).low < 0


@pytest.mark.parametrize("count", [20, 100, 500])
def test_guessing_is_seldom_called_learned(count):
    """A network that guesses by the shares of three equally frequent classes: at most 2.5 % and what chance adds."""
    runs = 2000
    right = (torch.rand(runs, count, generator=drawn(count)) < 1 / 3).double()
    majority = (torch.arange(count) % 3 == 0).double()
    truth = float(majority.mean()) - 1 / 3  # as 20 is not a multiple of 3
    called = sum(over_constant(each, majority).low > -truth for each in right) / runs
    assert called < 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)


def test_the_bootstrap_of_a_mean_is_nearly_the_interval_of_the_mean():
    values = torch.randn(400, dtype=torch.float64, generator=drawn(3)) + 0.1
    value, low, high = by_bootstrap(lambda rows: float(values[rows].mean()), 400, 0)
    plain = over_constant(values, torch.zeros(400))
    assert value == pytest.approx(plain.value)
    assert high - low == pytest.approx(plain.high - plain.low, rel=0.15)
    assert by_bootstrap(lambda rows: float(values[rows].mean()), 400, 0) == (value, low, high)
