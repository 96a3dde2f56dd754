"""MDD: a second head that agrees on the source and disagrees on the target."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from scipy.special import softmax
from toys.contexts import adaptation_context, batch_of, set_progress
from toys.networks import encoder_gradient
from toys.phases import played
from toys.references import skada

from xlearn.networks.network import tensors
from xlearn.objectives.adaptation.mdd import Mdd, disparity
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Problem


def fresh(batches):
    return {role: replace(batch, memo={}) for role, batch in batches.items()}


def head_of(network):
    return next(iter(network.head.values()))


def test_disparity_by_hand():
    source = torch.tensor([[0.7, 0.2, 0.1]]).log()
    target = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.25, 0.25]]).log() + 2.0
    labels = torch.tensor([1]), torch.tensor([0, 1])
    expected = 3.0 * -math.log(0.2) + (-math.log(1 - 0.6) - math.log(1 - 0.25)) / 2
    assert disparity(source, labels[0], target, labels[1], 3.0).item() == pytest.approx(expected, rel=1e-6)


def test_disparity_is_finite_where_one_less_the_share_rounds_to_zero():
    target = torch.tensor([[60.0, 0.0, -5.0]], requires_grad=True)
    label = torch.tensor([0])
    loss = disparity(torch.zeros(1, 3), label, target, label, 1.0) - math.log(3)
    assert loss.item() == pytest.approx(60 - math.log(1 + math.exp(-5)), rel=1e-6)
    loss.backward()
    # d/dz of -log(1 - p): p for the own class, p - p/(1 - p) for others.
    shares = torch.tensor([1 / (1 + math.exp(-5)), math.exp(-5) / (1 + math.exp(-5))])
    assert torch.allclose(target.grad, torch.tensor([[1.0, -shares[0], -shares[1]]]), atol=1e-6)


def test_disparity_is_skadas_without_smoothing_on_one_target_example():
    """With several, skada averages over all pairs of a target example and another one's label."""
    torch.manual_seed(0)
    module = skada("deep._adversarial")
    theirs = module.MDDLoss(gamma=3.0)
    theirs.disc_criterion_t = module.ModifiedCrossEntropyLoss(smoothing=0.0)
    first, second = torch.randn(6, 4), torch.randn(6, 4)
    target, target_second = torch.randn(1, 4), torch.randn(1, 4)
    expected = theirs(y_pred_s=first, y_pred_t=target, domain_pred_s=second, domain_pred_t=target_second)
    assert torch.allclose(disparity(second, first.argmax(1), target_second, target.argmax(1), 3.0), expected)


@pytest.mark.parametrize("hidden", [0, 5])
def test_mdd_is_the_disparity_from_what_the_first_head_predicts(hidden):
    context, network = adaptation_context()
    mdd, batches = Mdd(context, weight=0.5, gamma=2.0, hidden=hidden), batch_of(context)
    with torch.no_grad():  # so that both domains hold examples of several classes
        both = torch.cat([network.features(batch) for batch in fresh(batches).values()])
        head_of(network).bias -= head_of(network)(both).mean(0)
    pairs = []
    for role in ("source", "unlabeled"):
        features = network.features(batches[role]).detach()
        pairs += [mdd.head(features).detach(), head_of(network)(features).detach().argmax(1)]
    assert all(len(label.unique()) > 1 for label in pairs[1::2])
    shares = [softmax(each.double().numpy(), axis=1)[numpy.arange(16), label.numpy()] for each, label in [pairs[:2], pairs[2:]]]
    expected = 0.5 * (2.0 * -numpy.log(shares[0]).mean() - numpy.log(1 - shares[1]).mean())
    assert mdd(network, batches)["mdd"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_encoder_ascends_what_mdds_second_head_descends(hidden):
    context, network = adaptation_context(steps=10)
    mdd, plain = Mdd(context, hidden=hidden), Mdd(context, hidden=hidden)
    plain.reversal.forward = lambda x: x

    def loss(of):
        return of(network, batch_of(context))["mdd"]

    assert encoder_gradient(network, loss(mdd)).count_nonzero() == 0
    set_progress(mdd, 5)
    coefficient = 0.1 * (2 / (1 + math.exp(-5)) - 1)
    expected = encoder_gradient(network, loss(plain))
    assert expected.count_nonzero() > 0
    assert torch.allclose(encoder_gradient(network, loss(mdd)), -coefficient * expected, atol=1e-8)
    loss(mdd).backward()
    loss(plain).backward()
    for one, other in zip(mdd.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad)
        assert one.grad.count_nonzero() > 0
    assert all(parameter.grad is None for parameter in network.head.parameters())


def test_mdds_second_head_comes_to_agree_on_the_source_and_not_on_the_target():
    context, network = adaptation_context()
    mdd, batches = Mdd(context, hidden=32), batch_of(context, 8)
    optimizer = torch.optim.Adam(mdd.parameters(), lr=0.05)
    agreement = []
    for _ in range(80):
        optimizer.zero_grad()
        mdd(network, fresh(batches))["mdd"].backward()
        optimizer.step()
    for role in ("source", "unlabeled"):
        features = network.features(batches[role])
        agreement.append((mdd.head(features).argmax(1) == head_of(network)(features).argmax(1)).float().mean().item())
    assert agreement[0] > 0.7
    assert agreement[1] < 0.3


def test_mdd_trains_in_the_loop_and_goes_on_bit_identically():
    def go(**options):
        context, network = adaptation_context(steps=4)
        mdd = Mdd(context)
        moved, losses, saved = played(context, network, [CrossEntropy(context), mdd], steps=4, **options)
        assert moved == {name for name, _ in network.named_parameters()}
        return tensors(network) | mdd.state_dict(), losses, saved

    whole, losses, _ = go()
    _, before, saved = go(stop=2)
    resumed, after, _ = go(state=saved)
    assert int(whole["reversal.step"]) == 4
    assert before + after == losses
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_single_class_has_no_disparity():
    context, _ = adaptation_context(classes=1)
    with pytest.raises(Problem, match="mdd: the target has 1 class"):
        Mdd(context)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": -1.0}, "mdd: weight=-1.0: give 0 or more"),
        ({"gamma": 0.0}, "mdd: gamma=0.0: give more than 0"),
        ({"hidden": -1}, "mdd: hidden=-1: give 0"),
        ({"alpha": -2.0}, "alpha=-2.0: give more than 0"),
        ({"high": 0.0}, "high=0.0: give more than 0"),
    ],
)
def test_wrong_values_are_refused(options, sentence):
    context, _ = adaptation_context()
    with pytest.raises(Problem, match=sentence):
        Mdd(context, **options)


def test_both_domains_are_needed():
    context, _ = adaptation_context()
    for role in context.tasks:
        with pytest.raises(Problem, match="Set reads: .source, target, target.unlabeled"):
            Mdd(replace(context, tasks={role: context.tasks[role]}))
