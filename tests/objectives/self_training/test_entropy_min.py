"""Entropy minimisation, with and without diversity: scipy's entropies, and cases by hand."""

import math

import pytest
import scipy.stats
import torch
from toys.contexts import adaptation_context, batch_of

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_training.entropy_min import EntropyMin, information_loss


@pytest.mark.parametrize("diversity", [0.0, 1.0, 0.3])
def test_entropies_are_scipys(diversity):
    logits = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) * 3
    chances = scipy.special.softmax(logits.double().numpy(), axis=1)
    expected = scipy.stats.entropy(chances, axis=1).mean() - diversity * scipy.stats.entropy(chances.mean(0))
    assert information_loss(logits, diversity).item() == pytest.approx(expected, abs=1e-5)


def test_entropy_by_hand_and_its_limits():
    # (1/2, 1/2) has log 2, (1, 0) has 0.
    logits = torch.tensor([[0.0, 0.0], [50.0, -50.0]])
    assert information_loss(logits, 0).item() == pytest.approx(math.log(2) / 2)
    # Sure, and of each class equally often: minus the entropy of the classes.
    sure = torch.eye(4) * 1000
    assert information_loss(sure, 1).item() == pytest.approx(-math.log(4))
    # Says the same of everything: no information, whatever it says.
    assert information_loss(torch.tensor([[1.0, 0.0, 2.0]] * 5), 1).item() == pytest.approx(0, abs=1e-6)
    sure.requires_grad_()
    information_loss(sure, 1).backward()
    assert sure.grad.isfinite().all()


def test_entropy_min_weighs_and_a_step_down_makes_it_surer():
    context, net = adaptation_context()
    given = batch_of(context)
    objective = EntropyMin(context, weight=0.5)
    assert objective.needs.unlabeled
    [loss] = objective(net, given).values()
    assert loss.item() == pytest.approx(0.5 * information_loss(net(given[UNLABELED]), 0).item())
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= 0.1 * parameter.grad
    assert objective(net, batch_of(context))["entropy_min"] < loss
