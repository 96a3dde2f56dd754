"""Adversaries of the domain: gradient reversal, discriminators, DANN, and what CDAN has in common with it."""

import math
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from sklearn.metrics import log_loss
from torch import nn
from toys.contexts import adaptation_context, batch_of, set_progress
from toys.networks import encoder_gradient
from toys.phases import played
from toys.references import skada

from xlearn.networks.network import tensors
from xlearn.objectives.adaptation.cdan import Cdan
from xlearn.objectives.adaptation.dann import Dann
from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate
from xlearn.objectives.adaptation.gradient_reversal import Reversal, held, reverse
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Problem


def test_reversal_is_the_identity_forward_and_negative_backward():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    result = reverse(x, torch.tensor(0.25))
    assert torch.equal(result, x)
    (result * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert torch.equal(x.grad, torch.tensor([-0.25, -2.5, -25.0]))


def test_reversal_sets_in_by_the_steps_that_were_trained_not_by_calls():
    reversal, network = Reversal(10, alpha=10.0, high=0.5), nn.Identity()
    found = []
    for _ in range(11):
        reversal(torch.ones(1))
        reversal(torch.ones(1))
        found.append(float(reversal.coefficient()))
        reversal.follow(network)
    assert found == pytest.approx([0.5 * (2 / (1 + math.exp(-10 * step / 10)) - 1) for step in range(11)], abs=1e-6)
    assert found[0] == 0
    assert found[-1] == pytest.approx(0.5, abs=1e-4)
    assert reversal.coefficient().ndim == 0
    assert reversal.state_dict()["step"].dtype == torch.int64


def test_the_gradient_passes_what_is_held_and_does_not_enter():
    layer, x = nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    result = held(layer, x)
    assert torch.equal(result, layer(x))
    result.sum().backward()
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(4, 3))
    assert layer.weight.grad is None


def test_discriminate_is_weighted_cross_entropy_with_both_domains_halves():
    torch.manual_seed(0)
    source, target = torch.randn(5), torch.randn(9)
    weights = [torch.rand(5) + 1, torch.rand(9) + 1]
    expected = [
        log_loss([label] * len(logits), logits.double().sigmoid().numpy(), sample_weight=weight.numpy(), labels=[0, 1])
        for label, logits, weight in [(1, source, weights[0]), (0, target, weights[1])]
    ]
    assert float(discriminate(source, target, *weights)) == pytest.approx(sum(expected) / 2, rel=1e-5)
    even = discriminate(source, target)
    assert torch.allclose(even, discriminate(source, target, torch.full((5,), 7.0), torch.full((9,), 0.1)))
    # Nobody of the source counts: what is left is the target's half.
    assert torch.allclose(discriminate(source, target, torch.zeros(5)), nn.functional.softplus(target).mean() / 2)
    assert torch.allclose(discriminate(torch.zeros(3), torch.zeros(2)), torch.tensor(math.log(2)))
    assert discriminate(torch.full((2,), -1e4), torch.full((2,), 1e4)) == 1e4  # finite where probabilities are 0


def test_discriminators_begin_the_same_and_differ_by_use():
    _, network = adaptation_context()
    weights = [Discriminator(8, 4, network, use).layers[0].weight for use in ("one", "one", "other")]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    layers = Discriminator(8, 8, network, "one").layers
    assert not torch.equal(layers[0].weight, layers[2].weight)


def test_dann_is_cross_entropy_of_the_discriminator():
    context, network = adaptation_context()
    dann, batches = Dann(context, weight=0.7, hidden=5), batch_of(context)
    features = [network.features(batches[role]).detach() for role in ("source", "unlabeled")]
    probabilities = torch.cat([dann.discriminator(each) for each in features]).sigmoid().detach().double()
    expected = log_loss([1] * 16 + [0] * 16, probabilities.numpy())
    assert dann(network, batches)["dann"].item() == pytest.approx(0.7 * expected, rel=1e-5)


def test_dann_is_half_of_skadas():
    context, network = adaptation_context()
    dann, batches = Dann(context), batch_of(context)
    source, target = (dann.discriminator(network.features(batches[role])) for role in ("source", "unlabeled"))
    # There the target is 1, so that the discriminator's answer is turned round.
    theirs = skada("deep._adversarial").DANNLoss()(domain_pred_s=(-source).sigmoid(), domain_pred_t=(-target).sigmoid())
    assert torch.allclose(dann(network, batches)["dann"], theirs / 2)


@pytest.mark.parametrize("kind", [Dann, Cdan])
def test_the_encoder_ascends_what_the_discriminator_descends(kind):
    context, network = adaptation_context(steps=10)
    objective = kind(context)
    [name] = objective(network, batch_of(context))
    plain = kind(context)
    plain.reversal.forward = lambda x: x

    def loss(of):
        return of(network, batch_of(context))[name]

    assert torch.equal(loss(objective), loss(plain))
    assert encoder_gradient(network, loss(objective)).count_nonzero() == 0  # at the first step
    set_progress(objective, 5)
    coefficient = 2 / (1 + math.exp(-5)) - 1
    expected = encoder_gradient(network, loss(plain))
    assert expected.count_nonzero() > 0
    assert torch.allclose(encoder_gradient(network, loss(objective)), -coefficient * expected, atol=1e-8)
    ours, theirs = ([*each.discriminator.parameters()] for each in (objective, plain))
    gradients = zip(torch.autograd.grad(loss(objective), ours), torch.autograd.grad(loss(plain), theirs), strict=True)
    assert all(torch.allclose(one, other) and one.count_nonzero() > 0 for one, other in gradients)


def test_nobody_can_tell_equal_domains_apart():
    """Then no discriminator does better than log 2, however it learns."""
    context, network = adaptation_context(steps=1)
    dann, batches = Dann(context), batch_of(context)
    batches["unlabeled"] = replace(batches["source"], memo={})
    set_progress(dann, 1)
    for _ in range(20):
        loss = dann(network, batches)["dann"]
        assert loss >= math.log(2) - 1e-6
        parameters = [*dann.discriminator.parameters()]
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.5 * gradient


@pytest.mark.parametrize("kind", [Dann, Cdan])
def test_interrupted_and_resumed_is_bit_identical(kind):
    def go(**options):
        context, network = adaptation_context(steps=6)
        objective = kind(context)
        main = CrossEntropy(context)
        _, losses, saved = played(context, network, [main, objective], steps=6, **options)
        return tensors(network) | objective.state_dict(), losses, saved

    whole, losses, _ = go()
    _, before, saved = go(stop=3)
    resumed, after, _ = go(state=saved)
    assert int(whole["reversal.step"]) == 6
    assert before + after == losses
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_wrong_values_are_refused():
    context, _ = adaptation_context()
    for kind in (Dann, Cdan):
        name = kind.__name__.lower()
        with pytest.raises(Problem, match=f"{name}: weight=-1"):
            kind(context, weight=-1)
        with pytest.raises(Problem, match=f"{name}: hidden=0"):
            kind(context, hidden=0)
        with pytest.raises(Problem, match="alpha=0"):
            kind(context, alpha=0)
        with pytest.raises(Problem, match=f"{name} adapts to unlabelled"):
            kind(replace(context, tasks={"source": context.tasks["source"]}))
        with pytest.raises(Problem, match=f"{name} compares the target with a source"):
            kind(replace(context, tasks={"unlabeled": context.tasks["unlabeled"]}))
    with pytest.raises(Problem, match="high=0"):
        Reversal(3, high=0)


@pytest.mark.parametrize("name", ["dann", "cdan", "adda", "mcd", "mdd"])
def test_what_the_configuration_says_are_the_defaults(name):
    folder = Path(__file__).parents[3] / "conf" / "transfer"
    phase = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"))["phases"]["adapt"]
    given = phase["objective"] if name == "adda" else phase["penalties"][name]
    options = signature(get_class(given.pop("_target_"))).parameters
    assert given == {key: each.default for key, each in options.items() if key != "context"}
    assert phase["reads"] == "everything"
