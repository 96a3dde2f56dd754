"""VICReg: its loss against numpy and worked cases, and how it learns."""

from dataclasses import replace

import numpy
import pytest
import torch
from toys.contexts import bare, compared_context
from toys.laws import does_not_collapse, refuses
from toys.tasks import APART, uneven_draw

from xlearn.objectives.self_supervision.vicreg import VicReg, lacking_variance, squared_covariance

# Four numbers of eight examples: each has mean 0 and variance 1, no two correlate.


@pytest.mark.parametrize(("count", "width"), [(5, 3), (40, 12)])
def test_vicreg_has_the_covariance_of_numpy(count, width):
    values = uneven_draw(count, width, 2)
    table = numpy.cov(values.double().numpy(), rowvar=False)
    assert squared_covariance(values).item() == pytest.approx(
        ((table**2).sum() - (numpy.diag(table) ** 2).sum()) / width, rel=1e-4
    )
    deviations = numpy.sqrt(numpy.diag(numpy.cov(values.double().numpy() / 8, rowvar=False)) + 1e-4)
    assert lacking_variance(values / 8).item() == pytest.approx(numpy.maximum(0, 1 - deviations).mean(), rel=1e-4)


def test_vicreg_by_hand():
    assert squared_covariance(APART).item() == 0
    assert lacking_variance(APART).item() == 0  # the deviations are sqrt(8 / 7)
    assert lacking_variance(torch.full((8, 4), 3.0)).item() == pytest.approx(0.99)
    assert lacking_variance(torch.cat([3 * APART, torch.zeros(8, 4)], dim=1)).item() == pytest.approx(0.99 / 2)
    # Six pairs of equal numbers, counted twice, with the covariance 8 / 7.
    assert squared_covariance(APART[:, :1].repeat(1, 4)).item() == pytest.approx(12 * (8 / 7) ** 2 / 4)


def test_no_slope_of_vicreg_is_infinite_at_a_point():
    values = torch.zeros(8, 4, requires_grad=True)
    (lacking_variance(values) + squared_covariance(values)).backward()
    assert values.grad is not None and bool(values.grad.isfinite().all())


def test_each_weight_of_vicreg_has_its_part():
    context, net = compared_context()
    net.eval()
    given = {role: each.train.take(torch.arange(16)) for role, each in context.tasks.items()}

    def loss(**weights):
        torch.manual_seed(0)
        return VicReg(context, **weights)(net, given)["vicreg_source"].item()

    none = {"invariance": 0.0, "variance": 0.0, "covariance": 0.0}
    parts = [loss(**{**none, name: 1.0}) for name in none]
    assert min(parts) > 0 and loss(**none) == 0
    assert loss(invariance=2.0, variance=3.0, covariance=5.0) == pytest.approx(
        2 * parts[0] + 3 * parts[1] + 5 * parts[2], rel=1e-5
    )


def test_equal_views_leave_vicreg_only_what_a_single_one_costs():
    context, net = compared_context()
    net.eval()
    objective = VicReg(replace(context, view=bare), variance=0.0, covariance=0.0)
    given = {role: each.train.take(torch.arange(16)) for role, each in context.tasks.items()}
    assert all(loss.item() == 0 for loss in objective(net, given).values())


def test_features_come_to_tell_examples_and_not_views():
    # So few numbers that sixteen examples tell how they correlate.
    losses, (before, after) = does_not_collapse(VicReg, width=16, hidden=32)
    assert sum(losses[-5:]) < sum(losses[:5])
    assert after > 2 * before


@pytest.mark.parametrize(
    ("option", "value"), [("width", 0), ("hidden", 0), ("invariance", -1), ("variance", -1), ("covariance", -1)]
)
def test_options_out_of_range_are_refused(option, value):
    refuses(VicReg, option, value)
