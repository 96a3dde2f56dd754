"""IRM: its slopes are derivatives, and its penalty is autograd's."""

import pytest
import torch
from torch.nn import functional
from toys.contexts import batch_of, environment_context

from xlearn.objectives.generalization.irm import Irm, scale_slopes


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
    assert Irm.needed(weight=1.0).batch == 2
