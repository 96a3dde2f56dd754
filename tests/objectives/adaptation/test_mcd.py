"""MCD: two heads that part on the target, and an encoder that brings them together."""

from dataclasses import replace

import numpy
import pytest
import torch
from scipy.special import log_softmax, softmax
from toys.contexts import adaptation_context, batch_of
from toys.phases import played

from xlearn.networks.network import tensors
from xlearn.objectives.adaptation.mcd import Mcd, discrepancy
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Problem


def names(network, beginning):
    return {name for name, _ in network.named_parameters() if name.startswith(beginning)}


def fresh(batches):
    return {role: replace(batch, memo={}) for role, batch in batches.items()}


def head_of(network):
    return next(iter(network.head.values()))


def test_discrepancy_is_the_mean_distance_of_shares():
    one = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    other = torch.tensor([[0.5, 0.5], [0.2, 0.8]]).log()
    assert discrepancy(one, other).item() == pytest.approx((0 + 0 + 0.7 + 0.7) / 4)
    assert torch.equal(discrepancy(one, other), discrepancy(other, one))
    assert discrepancy(one, one + 3.0).item() == pytest.approx(0, abs=1e-7)


def test_mcds_losses_are_what_each_update_minimises():
    context, network = adaptation_context(shots=2)
    mcd, batches = Mcd(context, weight=0.6, generator_steps=3), batch_of(context)
    features = {role: network.features(batch).detach() for role, batch in batches.items()}
    logits = {role: [head_of(network)(each).detach(), mcd.head(each).detach()] for role, each in features.items()}
    entropies = {
        role: [
            -log_softmax(each.numpy(), axis=1)[numpy.arange(len(each)), batches[role].labels.numpy()].mean() for each in pair
        ]
        for role, pair in logits.items()
        if role != "unlabeled"
    }
    apart = numpy.abs(softmax(logits["unlabeled"][0].numpy(), axis=1) - softmax(logits["unlabeled"][1].numpy(), axis=1)).mean()
    assert apart > 0.01
    losses = dict(mcd(network, batches))
    for extra in mcd.extra_updates():
        losses |= extra(network, batches)
    expected = {
        "mcd_head": entropies["source"][1] + entropies["target"][1],
        "mcd_classifiers_source": sum(entropies["source"]) + sum(entropies["target"]),
        "mcd_classifiers_apart": -0.6 * apart,
        **{f"mcd_together_{number}": 0.6 * apart for number in (1, 2, 3)},
    }
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected, rel=1e-5)


def test_mcds_second_head_begins_otherwise_and_always_the_same():
    context, network = adaptation_context()
    one, other = Mcd(context, generator_steps=2), Mcd(context)
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.allclose(one.head.weight, head_of(network).weight)
    assert one.head.weight.shape == head_of(network).weight.shape


def test_gradients_of_mcds_updates_reach_whom_they_move_alone():
    context, network = adaptation_context()
    mcd, batches = Mcd(context, generator_steps=2), batch_of(context)
    first, *together = mcd.extra_updates()
    assert len(together) == 2

    def moved(losses):
        network.zero_grad(set_to_none=True)
        mcd.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        return {
            name for name, each in [*network.named_parameters(), *mcd.named_parameters(prefix="own")] if each.grad is not None
        }

    own = {"own.head.weight", "own.head.bias"}
    assert moved(mcd(network, fresh(batches))) == names(network, "encoder.") | own
    assert moved(first(network, fresh(batches))) == names(network, "head.") | own
    assert {name for name, _ in network.named_parameters() if first.moves(name)} == names(network, "head.")
    assert set(map(id, first.parameters())) == set(map(id, mcd.parameters()))
    for extra in together:
        assert moved(extra(network, fresh(batches))) == names(network, "encoder.")
        assert {name for name, _ in network.named_parameters() if extra.moves(name)} == names(network, "encoder.")
        assert not list(extra.parameters())


def test_classifiers_part_and_the_encoder_brings_them_together():
    context, network = adaptation_context()
    mcd, batches = Mcd(context, generator_steps=2), batch_of(context)
    first, second, _ = mcd.extra_updates()

    def apart():
        features = network.features(replace(batches["unlabeled"], memo={}))
        return discrepancy(head_of(network)(features), mcd.head(features)).item()

    def descend(loss, parameters):
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.01 * gradient

    before = apart()
    descend(first(network, fresh(batches))["mcd_classifiers_apart"], [*head_of(network).parameters(), *mcd.head.parameters()])
    parted = apart()
    descend(second(network, fresh(batches))["mcd_together_1"], [*network.encoder.parameters()])
    assert before < parted
    assert apart() < parted


@pytest.mark.parametrize("shots", [0, 2])
def test_mcd_trains_in_the_loop_and_goes_on_bit_identically(shots):
    def go(**options):
        context, network = adaptation_context(shots=shots, steps=4)
        mcd = Mcd(context, generator_steps=3)
        before = tensors(mcd)
        moved, losses, saved = played(context, network, [CrossEntropy(context), mcd], mcd.extra_updates(), steps=4, **options)
        assert moved == {name for name, _ in network.named_parameters()}
        assert not any(torch.equal(before[name], value) for name, value in tensors(mcd).items())
        return tensors(network) | tensors(mcd), losses, saved

    whole, losses, _ = go()
    _, before, saved = go(stop=2)
    resumed, after, _ = go(state=saved)
    assert before + after == losses
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    # Each of the encoder's updates meets the encoder that the one before left.
    assert len({losses[0][f"mcd_together_{number}"] for number in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": -1.0}, "mcd: weight=-1.0: give 0 or more"),
        ({"generator_steps": 0}, "mcd: generator_steps=0: give 1 or more"),
    ],
)
def test_wrong_values_are_refused(options, sentence):
    context, _ = adaptation_context()
    with pytest.raises(Problem, match=sentence):
        Mcd(context, **options)


def test_both_domains_are_needed():
    context, _ = adaptation_context()
    for role in context.tasks:
        with pytest.raises(Problem, match="Set reads: .source, target, target.unlabeled"):
            Mcd(replace(context, tasks={role: context.tasks[role]}))
