"""What holds of several methods that generalise over domains, mixup among them."""

import pytest
import torch
from toys.contexts import batch_of, environment_context
from toys.phases import CPU, adam_update

from xlearn.data.batches import Batches
from xlearn.networks.network import tensors
from xlearn.objectives.generalization.domain_mixup import DomainMixup
from xlearn.objectives.generalization.groupdro import GroupDro
from xlearn.objectives.generalization.irm import Irm
from xlearn.objectives.generalization.vrex import Vrex
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

ALL = [GroupDro, Irm, Vrex, DomainMixup]


@pytest.mark.parametrize("made, name", [(Irm, "irm"), (Vrex, "vrex")])
@pytest.mark.parametrize("weight, before", [(50.0, 1.0), (0.5, 0.5)])
def test_the_weight_is_one_before_its_share_of_the_steps(made, name, weight, before):
    context, net = environment_context(steps=10)
    objective = made(context, weight=weight, anneal=0.3)
    plain = made(context, weight=1.0, anneal=0)(net, batch_of(context, 12))[name].item()
    found = []
    for _ in range(5):
        found.append(objective(net, batch_of(context, 12))[name].item() / plain)
        objective.follow(net)
    assert found == pytest.approx([before] * 3 + [weight] * 2)


@pytest.mark.parametrize("made", ALL)
def test_a_gradient_reaches_everything(made):
    context, net = environment_context()
    objective = made(context)
    assert not getattr(objective, "unlabeled", False)
    sum(objective(net, batch_of(context, 12)).values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


@pytest.mark.parametrize("made", ALL)
def test_a_single_source_is_refused(made):
    context, _ = environment_context(1)
    with pytest.raises(Problem, match=r"two or more sources, e.g. source=\["):
        made(context)


@pytest.mark.parametrize(
    "made, values, words",
    [
        (GroupDro, {"eta": -1.0}, "groupdro: eta=-1.0"), (Irm, {"weight": -1.0}, "irm: weight=-1.0"),
        (Irm, {"anneal": 2.0}, "irm: anneal=2.0"), (Vrex, {"weight": -1.0}, "vrex: weight"),
        (Vrex, {"anneal": -1.0}, "vrex: anneal"), (DomainMixup, {"alpha": 0.0}, "mixup: alpha=0.0"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(made, values, words):
    context, _ = environment_context()
    with pytest.raises(Problem, match=words):
        made(context, **values)


@pytest.mark.parametrize("made", ALL)
def test_a_resumed_phase_is_bit_identical(made):
    def run(stop=None, state=None):
        context, net = environment_context(steps=6)
        main = [CrossEntropy(context)] if made in (Irm, Vrex) else []
        update = adam_update([*main, made(context)], {name: Rate() for name, _ in net.named_parameters()})
        given = Batches({role: each.train for role, each in context.tasks.items()}, batch_size=8, seed=3)
        for record in fit(net, [update], given, steps=6, seed=1, machine=CPU, state=state):
            if record.step == stop:
                return record.state()
        return tensors(net)

    through, again = run(), run(state=run(3))
    assert all(torch.equal(value, again[name]) for name, value in through.items())
