"""What holds of several adversaries of the domain."""

import math
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from toys.contexts import adaptation_context, batch_of, set_progress
from toys.networks import encoder_gradient
from toys.phases import played

from xlearn.networks.network import tensors
from xlearn.objectives.adaptation.cdan import Cdan
from xlearn.objectives.adaptation.dann import Dann
from xlearn.objectives.adaptation.gradient_reversal import Reversal
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.runtime.errors import Problem


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
    assert phase["reads"] == ["source", "target", "target.unlabeled"]
