"""DeepJDOT: joint costs and plans of transport, by hand and as POT and skada have them."""

import sys
import warnings

import numpy
import pytest
import torch
from toys.contexts import adaptation_context, batch_of
from toys.references import skada
from toys.tasks import draw

from xlearn.objectives.adaptation.deepjdot import DeepJdot, exact, joint_costs, sinkhorn
from xlearn.runtime.errors import Problem


def test_joint_costs_by_hand() -> None:
    source, target = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0]])
    logits = torch.tensor([[3.0, 1.0]]).log()  # 3/4 and 1/4
    costs = joint_costs(source, torch.tensor([0, 1]), target, logits, 0.1)
    assert torch.allclose(costs, torch.tensor([[2.5 - numpy.log(0.75)], [1.3 - numpy.log(0.25)]], dtype=torch.float32))


def test_deepjdot_by_hand() -> None:
    """The plan matches each target with the near source: half of each cost."""
    plan = exact(torch.tensor([[5.0, 1.0], [2.0, 7.0]]))
    assert torch.equal(plan, torch.tensor([[0.0, 0.5], [0.5, 0.0]]))


def test_deepjdot_is_skadas() -> None:
    losses = skada("deep.losses")
    source, target = draw(12, 4), draw(12, 4, seed=1).requires_grad_()
    labels, logits = torch.arange(12) % 3, draw(12, 3, seed=2).requires_grad_()
    costs = joint_costs(source, labels, target, logits, 0.3)
    own = (exact(costs.detach()) * costs).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = losses.deepjdot_loss(labels, logits, source, target, 0.3, 1.0)
    assert torch.allclose(own, other, rtol=1e-4)
    for mine, theirs in zip(*(torch.autograd.grad(each, [target, logits]) for each in (own, other)), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_exact_plan_is_the_cheapest() -> None:
    """A linear programme (an assignment, for equal numbers), solved by another package."""
    optimize = pytest.importorskip("scipy.optimize")
    costs = draw(9, 9).abs()
    chosen = optimize.linear_sum_assignment(costs.numpy())
    assert float((exact(costs) * costs).sum()) == pytest.approx(float(costs.numpy()[chosen].mean()), rel=1e-5)
    assert torch.allclose(exact(draw(6, 9)).sum(0), torch.full((9,), 1 / 9))


def test_the_exact_cost_and_its_gradient_are_pots() -> None:
    """`ot.emd2` differentiates the cost of the best plan, which is that of the plan held."""
    ot = pytest.importorskip("ot")
    costs = draw(8, 13).abs().double().requires_grad_()
    uniform = [torch.full((size,), 1 / size, dtype=torch.float64) for size in costs.shape]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = ot.emd2(*uniform, costs)
    own = (exact(costs.detach()) * costs).sum()
    assert torch.allclose(own, other)
    assert torch.allclose(*(torch.autograd.grad(each, costs)[0] for each in (own, other)), atol=1e-9)


def test_sinkhorn_is_pots() -> None:
    ot = pytest.importorskip("ot")
    costs = draw(8, 11).abs()
    rows, columns = numpy.full(8, 1 / 8), numpy.full(11, 1 / 11)
    epsilon = 0.1 * float(costs.mean())
    expected = ot.sinkhorn(rows, columns, costs.double().numpy(), epsilon, method="sinkhorn_log", numItermax=5000)
    plan = sinkhorn(costs, 0.1)
    assert numpy.allclose(plan.numpy(), expected, atol=1e-4)
    assert torch.allclose(plan.sum(0), torch.full((11,), 1 / 11)) and torch.allclose(
        plan.sum(1), torch.full((8,), 1 / 8), atol=1e-3
    )


def test_sinkhorn_comes_to_the_exact_plan_and_to_none() -> None:
    costs = draw(7, 7).abs()
    assert torch.allclose(sinkhorn(costs, 1e4), torch.full((7, 7), 1 / 49), atol=1e-5)
    best = (exact(costs) * costs).sum()
    found = [float((sinkhorn(costs, each) * costs).sum()) for each in (0.05, 0.2, 2.0)]
    assert best - 1e-5 < found[0] < found[1] < found[2] < costs.mean()
    assert sinkhorn(torch.zeros(3, 3), 0.1).isfinite().all()


def test_deepjdot_without_pot(monkeypatch: pytest.MonkeyPatch) -> None:
    context, network = adaptation_context()
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(Problem, match="pip install pot"):
        DeepJdot(context)
    loss = DeepJdot(context, regularisation=0.05)(network, batch_of(context))["deepjdot"]
    assert loss.isfinite()


def test_a_cost_that_is_no_number_is_not_hidden() -> None:
    assert exact(torch.tensor([[1.0, float("nan")], [0.0, 1.0]])).isnan().all()
