"""Kernels, norms and transport: formulas by hand, laws, and other implementations on the same tensors."""

import sys
import warnings

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of, loss_of
from toys.references import draw, skada

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.adaptation.afn import Afn, stepwise
from xlearn.objectives.adaptation.deepjdot import DeepJdot, exact, joint_costs, sinkhorn
from xlearn.objectives.adaptation.jan import joint
from xlearn.objectives.adaptation.kernels import ALPHAS, discrepancy, gaussian, mmd, squared_distances
from xlearn.runtime.errors import Problem


def test_the_discrepancy_is_skadas() -> None:
    """Of the same kernel: skada's dan_loss has Laplace kernels."""
    source, target = draw(10, 4), draw(14, 4, seed=1) + 0.5
    points, widths = torch.cat([source, target]), [0.5, 1.0, 4.0]
    kernel = torch.stack([torch.exp(-torch.cdist(points, points) / width) for width in widths]).sum(0)
    assert torch.allclose(
        discrepancy(kernel, 10, "biased"), skada("deep.losses").dan_loss(source, target, sigmas=widths), atol=1e-5
    )


def test_mmd_laws() -> None:
    source, target = draw(16, 5), draw(24, 5, seed=1) + 1
    assert torch.allclose(mmd(source, source.flip(0), "biased"), torch.tensor(0.0), atol=1e-6)
    assert torch.allclose(mmd(source, target), mmd(target, source), atol=1e-6)
    assert torch.allclose(mmd(source, target), mmd(7 * source + 2, 7 * target + 2), atol=1e-5)
    assert mmd(source, target, "biased") > mmd(source, draw(24, 5, seed=1), "biased") > 0
    # Two samples of one distribution: right on average, hence below 0 about as often as above; biased never.
    found = [mmd(draw(8, 3, seed=2 * n), draw(8, 3, seed=2 * n + 1)).item() for n in range(60)]
    assert min(found) < 0 < max(found) and abs(numpy.mean(found)) < 3 * numpy.std(found) / 60**0.5


def test_the_estimators_differ_by_what_each_point_is_to_itself() -> None:
    """Of n points on each side, with 5 on the kernel's diagonal: `unbiased` has n / (n - 1) (within - 5 / n) for within."""
    source, target = draw(8, 3), draw(8, 3, seed=1)
    kernel = gaussian(squared_distances(torch.cat([source, target])))
    within = kernel[:8, :8].mean() + kernel[8:, 8:].mean()
    gap = mmd(source, target, "biased") - mmd(source, target)
    assert torch.allclose(gap, within - 8 / 7 * (within - 2 * 5 / 8), atol=1e-5) and gap > 0


def test_equal_points_have_a_gradient_that_is_a_number() -> None:
    points = torch.ones(4, 3, requires_grad=True)
    mmd(points, points).backward()
    assert points.grad is not None and torch.equal(points.grad, torch.zeros(4, 3))


def test_mmd_moves_the_domains_towards_each_other() -> None:
    source, target = draw(12, 2), (draw(12, 2, seed=1) + 2).requires_grad_()
    mmd(source, target).backward()
    assert target.grad is not None and bool((target.grad.mean(0) > 0).all())  # a step against it is one down to the source


def test_jan_by_hand() -> None:
    """One example each: 1 * 5 twice within, and the product across."""
    features, predictions = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    across = sum(numpy.exp(-4 / (2 * alpha * 2)) for alpha in ALPHAS) * numpy.exp(-2 / (2 * 0.5**2))
    assert float(discrepancy(joint(features, predictions, 0.5), 1, "biased")) == pytest.approx(10 - 2 * across, rel=1e-5)


def test_jan_sees_what_the_features_alone_do_not() -> None:
    """The same features on both sides, with predictions that go with them the other way round."""
    features = torch.cat([draw(10, 3), draw(10, 3)])
    one = functional.one_hot((draw(10) > 0).long(), 2).float()
    assert torch.allclose(discrepancy(joint(features, torch.cat([one, one]), 0.92), 10, "biased"), torch.tensor(0.0), atol=1e-6)
    assert discrepancy(joint(features, torch.cat([one, one.flip(1)]), 0.92), 10, "biased") > 0.1
    # Predictions that are all alike tell nothing: it is MMD.
    alike = discrepancy(joint(features + 0.1 * draw(20, 3, seed=4), torch.ones(20, 2) / 2, 0.92), 10)
    assert torch.allclose(alike, mmd(*(features + 0.1 * draw(20, 3, seed=4)).split(10)), atol=1e-6)


# AFN


def test_afn_by_hand() -> None:
    features = torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], requires_grad=True)
    loss = stepwise(features, 0.5)
    loss.backward()
    assert loss.item() == 0.25
    # -2 delta f / ||f|| / n: longer is better, in the direction that it has; 0 has none.
    assert features.grad is not None
    assert torch.allclose(features.grad, -torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]) / 3)


def test_afn_makes_features_longer() -> None:
    loss, context, network = loss_of(Afn, weight=0.05, delta=2.0)
    assert torch.allclose(loss, torch.tensor(2 * 0.05 * 4))
    loss.backward()
    before = network.features(batch_of(context)[UNLABELED]).norm(dim=1).mean()
    with torch.no_grad():
        for each in network.encoder.parameters():
            each -= 0.01 * each.grad
    assert network.features(batch_of(context)[UNLABELED]).norm(dim=1).mean() > before


# DeepJDOT


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


# MCC
