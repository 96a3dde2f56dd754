"""Domain generalisation: GroupDRO, IRM and V-REx; of mixup, what is common to all."""

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import batch_of, environment_context, losses_of
from toys.phases import CPU, adam_update

from xlearn.data.batches import Batches
from xlearn.networks.network import tensors
from xlearn.objectives.generalization.domain_mixup import DomainMixup
from xlearn.objectives.generalization.groupdro import GroupDro
from xlearn.objectives.generalization.irm import Irm, scale_slopes
from xlearn.objectives.generalization.vrex import Vrex
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases.fit import fit
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

ALL = [GroupDro, Irm, Vrex, DomainMixup]


def test_groupdro_by_hand_for_two_steps():
    context, net = environment_context()
    objective = GroupDro(context, eta=0.5)
    q = numpy.full(3, 1 / 3)
    for _ in range(2):
        risks = numpy.array(losses_of(net, batch_of(context, 12)))
        q = q * numpy.exp(0.5 * risks)
        q = q / q.sum()
        found = objective(net, batch_of(context, 12))
        assert [*found] == ["e0_groupdro", "e1_groupdro", "e2_groupdro"]
        assert [loss.item() for loss in found.values()] == pytest.approx(q * risks, rel=1e-5)
        sum(found.values()).backward()
        objective.follow(net)
        assert objective.q.tolist() == pytest.approx(q, rel=1e-5)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.1 * parameter.grad
    assert objective.q.argmax() == q.argmax() and objective.q.std() > 0


def test_groupdro_moves_once_in_a_step_and_weights_carry_no_gradient():
    context, net = environment_context()
    objective = GroupDro(context, eta=1.0)
    first = objective(net, batch_of(context, 12))
    again = objective(net, batch_of(context, 12))  # whoever looks at the losses once more
    assert [loss.item() for loss in first.values()] == [loss.item() for loss in again.values()]
    objective.follow(net)
    q = objective.q.clone()
    with torch.no_grad():
        objective(net, batch_of(context, 12))
    objective.follow(net)
    assert torch.equal(objective.q, q)
    # The gradient of sum q l with q held.
    found = torch.autograd.grad(sum(first.values()), [*net.parameters()])
    risks = [functional.cross_entropy(net(batch), batch.labels) for batch in batch_of(context, 12).values()]
    expected = torch.autograd.grad((q * torch.stack(risks)).sum(), [*net.parameters()])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_groupdro_with_eta_0_is_the_mean_and_large_losses_do_not_overflow():
    context, net = environment_context()
    given = batch_of(context, 12)
    assert sum(GroupDro(context, eta=0.0)(net, given).values()).item() == pytest.approx(numpy.mean(losses_of(net, given)))
    objective = GroupDro(context, eta=1e4)
    worst = sum(objective(net, given).values()).item()
    assert worst == pytest.approx(max(losses_of(net, given)))


def test_an_environment_that_a_step_lacks_has_no_loss_there():
    context, net = environment_context()
    objective, given = GroupDro(context, eta=0.5), batch_of(context, 12)
    found = objective(net, {"e1": given["e1"]})
    objective.follow(net)
    risk = losses_of(net, {"e1": given["e1"]})[0]
    grown = numpy.exp(0.5 * risk) / (2 + numpy.exp(0.5 * risk))
    assert found.keys() == {"e1_groupdro"} and objective.q[1].item() == pytest.approx(grown)


@pytest.mark.parametrize("soft", [False, True])
def test_the_slope_of_irm_is_the_derivative(soft):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    labels = torch.randn(7, 4, generator=generator, dtype=torch.float64).softmax(1) if soft else torch.arange(7) % 4

    def risk(scale):
        return functional.cross_entropy(logits * scale, labels, reduction="none")

    differences = (risk(1 + 1e-5) - risk(1 - 1e-5)) / 2e-5
    assert torch.allclose(scale_slopes(logits, labels), differences, atol=1e-8)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    [slope] = torch.autograd.grad(risk(scale).mean(), [scale])
    assert scale_slopes(logits, labels).mean().item() == pytest.approx(slope.item())


def test_irm_is_autograds_penalty_with_its_gradient():
    context, net = environment_context()
    given = batch_of(context, 11)  # halves of different size
    squares = []
    for batch in given.values():
        scale = torch.ones((), requires_grad=True)
        logits = net(batch) * scale
        halves = [functional.cross_entropy(logits[n::2], batch.labels[n::2]) for n in range(2)]
        slopes = [torch.autograd.grad(half, [scale], create_graph=True)[0] for half in halves]
        squares.append(slopes[0] * slopes[1])
    expected = 7.0 * torch.stack(squares).mean()
    found = Irm(context, weight=7.0, anneal=0)(net, batch_of(context, 11))["irm"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    wanted = torch.autograd.grad(expected, [*net.parameters()])
    for one, other in zip(torch.autograd.grad(found, [*net.parameters()]), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5) and one.abs().sum() > 0


def test_irm_of_a_single_example_is_zero_not_nan():
    context, net = environment_context()
    assert Irm(context)(net, batch_of(context, 1))["irm"].item() == 0
    assert Irm.smallest_batch(weight=1.0) == 2


def test_vrex_is_the_variance_of_the_risks():
    context, net = environment_context()
    given = batch_of(context, 12)
    found = Vrex(context, weight=3.0, anneal=0)(net, given)["vrex"]
    assert found.item() == pytest.approx(3 * numpy.var(losses_of(net, given)), rel=1e-4)
    found.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    same = dict.fromkeys(given, given["e0"])
    assert Vrex(context, anneal=0)(net, same)["vrex"].item() == pytest.approx(0, abs=1e-10)  # equally well learned


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


# All


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
