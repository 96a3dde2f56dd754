"""GroupDRO: weights of environments by hand, and when they move."""

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import batch_of, environment_context, losses_of

from xlearn.objectives.generalization.groupdro import GroupDro


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
