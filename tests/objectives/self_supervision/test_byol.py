"""BYOL: what is compared, and the decay of what follows."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional
from toys.contexts import batch_of, compared_context, noisy
from toys.laws import does_not_collapse, refuses
from toys.networks import shift

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.byol import Byol, distance


def test_the_distance_is_the_squared_one_of_unit_vectors():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(9, 5, generator=generator), 4 * torch.randn(9, 5, generator=generator)
    units = [each.numpy() / numpy.linalg.norm(each.numpy(), axis=1, keepdims=True) for each in (one, other)]
    assert distance(one, other).item() == pytest.approx(cdist(*units, "sqeuclidean").diagonal().mean(), rel=1e-5)
    assert distance(one, 3 * one).item() == pytest.approx(0, abs=1e-6)
    assert distance(one, -one).item() == pytest.approx(4)


def test_the_decay_of_byol_grows_from_its_first_value_to_one():
    context, net = compared_context(steps=4)
    objective, found = Byol(context, decay=0.9), []
    for _ in range(5):
        found.append(objective.decay().item())
        objective.follow(net)
    middle = [1 - 0.1 * (math.cos(math.pi * share) + 1) / 2 for share in (0.25, 0.5, 0.75)]
    assert found == pytest.approx([0.9, *middle, 1.0]) and middle[1] == pytest.approx(0.95)


def test_byol_compares_each_view_with_the_target_of_the_other():
    context, net = compared_context()
    net.eval()
    given = {UNLABELED: batch_of(context)[UNLABELED]}
    drawn = [noisy(given[UNLABELED], torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    order = iter(drawn)
    objective = Byol(replace(context, view=lambda batch: replace(next(order), memo={})))
    with torch.no_grad():
        old = [objective.projector(net.features(replace(each, memo=None))) for each in drawn]
        shift(net, 0.1)
        shift(objective.projector, 0.05)
        new = [objective.predictor(objective.projector(net.features(replace(each, memo=None)))) for each in drawn]
        found = objective(net, given)[f"byol_{UNLABELED}"].item()
    sides = [functional.mse_loss(functional.normalize(new[one]), functional.normalize(old[1 - one])) * 128 for one in (0, 1)]
    assert found == pytest.approx(sum(each.item() for each in sides), rel=1e-4)
    # Neither side with its own view, nor with what the network is by now.
    assert abs(found - distance(new[0], old[0]).item() - distance(new[1], old[1]).item()) > 1e-4


def test_features_come_to_tell_examples_and_not_views():
    _, (before, after) = does_not_collapse(Byol)
    assert after > 2 * before


@pytest.mark.parametrize(("option", "value"), [("decay", 1), ("decay", -0.5), ("width", 0)])
def test_options_out_of_range_are_refused(option, value):
    refuses(Byol, option, value)
