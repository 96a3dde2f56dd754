"""Barlow Twins: its loss against numpy and worked cases, and how it learns."""

import numpy
import pytest
import torch
from toys.laws import does_not_collapse, refuses
from toys.tasks import APART, uneven_draw

from xlearn.objectives.self_supervision.barlow_twins import BarlowTwins, redundancy_reduction

# Four numbers of eight examples: each has mean 0 and variance 1, no two correlate.


@pytest.mark.parametrize(("count", "width"), [(5, 3), (40, 12)])
def test_barlow_twins_correlates_as_numpy_does(count, width):
    one, other = uneven_draw(count, width, 0), uneven_draw(count, width, 1)
    table = numpy.corrcoef(one.double().numpy(), other.double().numpy(), rowvar=False)[:width, width:]
    others = table - numpy.diag(numpy.diag(table))
    expected = ((1 - numpy.diag(table)) ** 2).sum() + 0.3 * (others**2).sum()
    assert redundancy_reduction(one, other, 0.3).item() == pytest.approx(expected, rel=1e-4)


def test_barlow_twins_by_hand():
    assert redundancy_reduction(APART, 5 * APART - 2, 1.0).item() == pytest.approx(0, abs=1e-8)  # scale and place do not matter
    assert redundancy_reduction(APART, -APART, 1.0).item() == pytest.approx(4 * 4, rel=1e-4)
    assert redundancy_reduction(APART, APART[:, [1, 0, 2, 3]], 0.5).item() == pytest.approx(2 + 0.5 * 2, rel=1e-4)
    same = APART[:, :1].repeat(1, 4)
    assert redundancy_reduction(same, same, 0.01).item() == pytest.approx(0.01 * 12, rel=1e-3)


def test_a_number_that_never_changes_correlates_with_nothing():
    still = torch.cat([APART[:, :3], torch.full((8, 1), 2.0)], dim=1)
    assert redundancy_reduction(still, still, 1.0).item() == pytest.approx(1, rel=1e-4)


def test_features_come_to_tell_examples_and_not_views():
    # So few numbers that sixteen examples tell how they correlate.
    losses, (before, after) = does_not_collapse(BarlowTwins, width=16, hidden=32)
    assert sum(losses[-5:]) < sum(losses[:5])
    assert after > 2 * before


@pytest.mark.parametrize(("option", "value"), [("redundancy", -0.1), ("width", 0), ("hidden", -3)])
def test_options_out_of_range_are_refused(option, value):
    refuses(BarlowTwins, option, value)
