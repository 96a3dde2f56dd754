"""SimCLR: its loss against another library and worked cases, and how it learns."""

import math

import pytest
import torch
from toys.laws import does_not_collapse, refuses
from toys.tasks import two_draws

from xlearn.objectives.self_supervision.simclr import SimClr, nt_xent


@pytest.mark.parametrize(("count", "temperature"), [(2, 0.2), (7, 0.1), (32, 1.0)])
def test_nt_xent_is_that_of_pytorch_metric_learning(count, temperature):
    from pytorch_metric_learning.losses import NTXentLoss

    one, other = two_draws(count, seed=count)
    expected = NTXentLoss(temperature)(torch.cat([one, other]), torch.arange(count).repeat(2))
    assert nt_xent(one, other, temperature).item() == pytest.approx(expected.item(), rel=1e-5)


def test_nt_xent_by_hand():
    # Two examples at right angles, each with equal views: of the three others one is at 1 and two are at 0.
    unit = torch.eye(2)
    assert nt_xent(3 * unit, 5 * unit, 0.5).item() == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)))


@pytest.mark.parametrize("count", [2, 5, 16])
def test_every_view_has_two_negatives_less_than_there_are_views(count):
    point = torch.ones(count, 4)
    assert nt_xent(point, point, 0.2).item() == pytest.approx(math.log(1 + 2 * count - 2))


def test_the_more_alike_the_views_the_lower_the_loss():
    one, other = two_draws(12)
    found = [nt_xent(one, one + share * other, 0.2).item() for share in (0, 0.3, 1, 3)]
    assert found == sorted(found)


def test_simclr_tells_examples_apart():
    losses, (before, after) = does_not_collapse(SimClr)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert after > 2 * before


@pytest.mark.parametrize(("option", "value"), [("temperature", 0), ("temperature", -1.5), ("width", 0), ("hidden", 0)])
def test_options_out_of_range_are_refused(option, value):
    refuses(SimClr, option, value)
