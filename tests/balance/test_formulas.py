"""Balances by gradients against cases worked by hand and against torchjd."""

import math

import pytest
import torch
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector
from toys.balances import CONFLICT, NETWORK, context, direction, jacobians, made, roles

from xlearn.balance import Backward
from xlearn.balance.gradient_similarity import GradientSimilarity
from xlearn.balance.gradients import cosines
from xlearn.runtime.errors import Problem

# torchjd's, our options, and our step as a multiple of its.
REFERENCES = {
    "aligned": (aggregation.AlignedMTL(), {}, lambda tasks: tasks),
    "aligned median": (aggregation.AlignedMTL(scale_mode="median"), {"scale": "median"}, lambda tasks: tasks),
    "aligned rmse": (aggregation.AlignedMTL(scale_mode="rmse"), {"scale": "rmse"}, lambda tasks: tasks),
    "cagrad": (aggregation.CAGrad(c=0.5, norm_eps=1e-12), {}, lambda tasks: tasks / 1.5),
    "cagrad none": (aggregation.CAGrad(c=0.2, norm_eps=1e-12), {"c": 0.2, "rescale": "none"}, lambda tasks: tasks),
    "cagrad square": (aggregation.CAGrad(c=0.4, norm_eps=1e-12), {"c": 0.4, "rescale": "square"}, lambda tasks: tasks / 1.16),
    "imtl_g": (aggregation.IMTLG(), {}, lambda tasks: tasks),
    "mgda": (aggregation.MGDA(epsilon=1e-9, max_iters=3000), {}, lambda tasks: tasks),
    "pcgrad": (aggregation.PCGrad(), {}, lambda tasks: 1),
    "upgrad": (aggregation.UPGrad(projector=QuadprogProjector(reg_eps=1e-10)), {}, lambda tasks: tasks),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_directions_are_torchjds(case):
    reference, options, factor = REFERENCES[case]
    for jacobian in jacobians():
        torch.manual_seed(2)
        expected = factor(len(jacobian)) * reference(jacobian)
        torch.manual_seed(2)
        found, _ = direction(made(case.split()[0], len(jacobian), **options), jacobian)
        # torchjd's MGDA is an approximation: see below.
        assert float((found - expected).norm() / expected.norm()) < (1e-2 if case == "mgda" else 2e-4)


def test_nash_solves_its_equation_as_fairgrad_does():
    for jacobian in jacobians():
        found, weights = direction(made("nash", len(jacobian)), jacobian)
        expected = aggregation.FairGrad(alpha=1.0)(jacobian)
        torch.testing.assert_close(found / found.norm(), expected / expected.norm(), atol=1e-4, rtol=1e-4)
        gains = weights * (jacobian @ found)
        torch.testing.assert_close(gains, gains.mean().expand_as(gains), atol=0, rtol=1e-4)
        assert (weights > 0).all() and float(weights.sum()) == pytest.approx(len(jacobian))


BY_HAND = {
    # g_1 + 1/2 g_2 and g_2 + g_1
    "pcgrad": [2.0, 1.5],
    "upgrad": [2.0, 1.5],
    # |w - (1 - w)|^2 + (1 - w)^2 is least at w = 3/5
    "mgda": [1.2, 0.8],
    # y_1 = y_2, w_t = y_t / |g_t|
    "nash": [2 * math.sqrt(2) / (1 + math.sqrt(2)), 2 / (1 + math.sqrt(2))],
    "imtl_g": [2 * math.sqrt(2) / (1 + math.sqrt(2)), 2 / (1 + math.sqrt(2))],
    "gradient_similarity": [1.0, 0.0],
    "gradnorm": [1.0, 1.0],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_tasks_in_conflict_by_hand(name):
    found, weights = direction(made(name), CONFLICT)
    assert weights.tolist() == pytest.approx(BY_HAND[name], abs=1e-5)
    assert found.tolist() == pytest.approx((weights.float() @ CONFLICT).tolist(), abs=1e-5)


def test_aligned_by_hand():
    # Orthogonal gradients of lengths 1 and 3: both become as long as the shorter (in squares 1 and 9, mean 5).
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert direction(made("aligned"), jacobian)[1].tolist() == pytest.approx([1, 1 / 3])
    weights = direction(made("aligned", scale="rmse"), jacobian)[1].tolist()
    assert weights == pytest.approx([math.sqrt(5), math.sqrt(5) / 3])


def test_cagrad_of_two_opposite_gradients_by_hand():
    # g_0 = (1, 0); whatever moves along it harms one task: d = (1 - c) g_0, doubled, over 1 + c.
    found, _ = direction(made("cagrad"), torch.tensor([[3.0, 0.0], [-1.0, 0.0]]))
    assert found.tolist() == pytest.approx([2 * 0.5 / 1.5, 0], abs=1e-3)
    assert direction(made("cagrad", c=0.0), CONFLICT)[0].tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(("normalise", "lengths"), [("none", [1, 3]), ("l2", [1, 1]), ("loss", [1, 1.5]), ("loss+", [1, 0.5])])
def test_mgda_normalises_to_find_the_weights_alone(normalise, lengths):
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    x = torch.nn.Parameter(torch.zeros(2))
    balance = made("mgda", normalise=normalise)
    balance({"target": 1 + jacobian[0] @ x, "s1": 2 + jacobian[1] @ x}, Backward(NETWORK, [x]))
    # Of orthogonal gradients the shortest combination weighs by 1 / length^2.
    inverse = [1 / each**2 for each in lengths]
    weights = [2 * each / sum(inverse) for each in inverse]
    assert [float(each) for each in balance.weights.values()] == pytest.approx(weights, rel=1e-4)
    assert x.grad.tolist() == pytest.approx([weights[0], 3 * weights[1]], rel=1e-4)


def test_gradient_similarity_counts_sources_by_their_cosine():
    jacobian = torch.tensor([[2.0, 0.0], [3.0, 3.0], [-1.0, 5.0], [0.0, 1.0]])
    assert direction(made("gradient_similarity", 4), jacobian)[1].tolist() == pytest.approx([1, math.sqrt(0.5), 0, 0])
    assert direction(made("gradient_similarity", 4, hard=True), jacobian)[1].tolist() == [1, 1, 0, 1]
    names = roles(4)[1:]
    assert direction(made("gradient_similarity", 4), jacobian[1:], names)[1].tolist() == [1, 1, 1]
    with pytest.raises(Problem, match="balance=gradient_similarity weighs sources against the target"):
        GradientSimilarity(context(["a", "b"]))


@pytest.mark.parametrize("name", ["upgrad", "mgda"])
def test_no_task_is_harmed(name):
    generator = torch.Generator().manual_seed(5)
    for tasks in (2, 4, 9):
        for dimension in (2, 4, 20):
            jacobian = torch.randn(tasks, dimension, generator=generator) * 10 ** torch.rand(tasks, 1, generator=generator)
            found, weights = direction(made(name, tasks), jacobian)
            size = (weights.abs().float() * jacobian.norm(dim=1)).max()
            assert (jacobian @ found / jacobian.norm(dim=1) / size).min() > -1e-5


def test_mgda_finds_the_shortest_combination():
    """Of which torchjd's is an approximation. At the minimum d over the simplex, `<g_t, d> >= |d|^2`."""
    for jacobian in jacobians():
        found, weights = direction(made("mgda", len(jacobian)), jacobian)
        assert (weights >= 0).all() and float(weights.sum()) == pytest.approx(len(jacobian))
        shortest = found / len(jacobian)
        assert (jacobian @ shortest).min() > shortest.square().sum() * (1 - 1e-4)


def test_imtl_g_goes_equally_far_along_every_gradient_and_downhill():
    for jacobian in jacobians():
        found, _ = direction(made("imtl_g", len(jacobian)), jacobian)
        along = jacobian @ found / jacobian.norm(dim=1)
        torch.testing.assert_close(along, along.mean().expand_as(along), rtol=1e-4, atol=1e-5)
    # One gradient between two others, and much shorter: with sum(w) = 1 the formula would climb all three losses.
    cosine = torch.tensor([[1, 0.9, 0.9], [0.9, 1, 0.63], [0.9, 0.63, 1]], dtype=torch.float64)
    jacobian = torch.linalg.cholesky(cosine) * torch.tensor([[0.01], [1.0], [1.0]], dtype=torch.float64)
    v = torch.linalg.solve(cosine, torch.ones(3, dtype=torch.float64)) / jacobian.norm(dim=1)
    assert v.sum() < 0
    found, _ = direction(made("imtl_g", 3), jacobian)
    assert (jacobian @ found > 0).all()


def test_gradnorm_by_hand():
    """Lengths 1 and 2, losses at 1/2 and 3/2 of where they began: r = (1/2, 3/2), m = 3/2."""
    balance = made("gradnorm", alpha=2.0, initial=1)
    x = torch.nn.Parameter(torch.zeros(2))

    def step(target, s1):
        balance({"target": target + x[0], "s1": s1 + 2 * x[1]}, Backward(NETWORK, [x]))

    step(4.0, 1.0)
    # Here r = (1, 1): the goal of both is 3/2.
    assert balance.weight.grad.tolist() == [-1.0, 2.0]
    step(2.0, 1.5)
    # Goals 3/2 * 1/4 and 3/2 * 9/4.
    assert balance.weight.grad.tolist() == [1.0, -2.0]
    assert balance.first.tolist() == [4, 1]
    with torch.no_grad():
        balance.weight.copy_(torch.tensor([-1.0, 3.0]))
    balance.follow(NETWORK)
    assert balance.weight.sum() == 2 and balance.weight.min() > 0
    for initial in (0, -1):
        with pytest.raises(Problem, match=f"balance.initial={initial}: give 1 step or more"):
            made("gradnorm", initial=initial)


def test_gradnorm_evens_out_what_tasks_pull():
    balance = made("gradnorm", alpha=0.0)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.02)
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    for _ in range(150):
        _, weights = direction(balance, jacobian)
        optimizer.step()
        balance.follow(NETWORK)
    assert weights.tolist() == pytest.approx([1.5, 0.5], abs=0.05)


def test_cagrad_refuses_a_radius_out_of_range():
    for c in (-0.1, 1.0, math.nan):
        with pytest.raises(Problem, match=r"balance.c=.*: give a radius in \[0, 1\)"):
            made("cagrad", c=c)


def test_cosines_by_hand():
    x, y = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    losses = {"target": x[0], "s1": x.sum() + y.sum(), "s2": y[0], "l2": 7 * x.sum()}
    found = cosines(losses, ["target", "s1", "s2"], [x, y])
    assert found == pytest.approx({"target s1": math.sqrt(0.5), "s1 s2": math.sqrt(0.5)})
