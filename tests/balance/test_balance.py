"""Balances of losses against hand-worked cases, autograd and torch's optimizers, and the laws they share."""

import math

import pytest
import torch
from toys.balances import context, gradient, numbers, quadratic, scaled

from xlearn.balance._equal import equal
from xlearn.balance.auxiliary import Auxiliary
from xlearn.balance.dwa import DynamicWeightAverage
from xlearn.balance.famo import Famo
from xlearn.balance.gls import GeometricMean
from xlearn.balance.random import Random
from xlearn.balance.uncertainty import Uncertainty
from xlearn.runtime.errors import Problem


def test_random_weights_add_up_to_the_number_of_tasks_and_favour_none():
    balance = Random(context())
    torch.manual_seed(0)
    drawn = []
    for _ in range(400):
        found = gradient(balance, scaled(a=1.0, target=2.0))
        drawn.append([*numbers(balance.weights).values()])
        assert found.tolist() == pytest.approx([drawn[-1][0], 2 * drawn[-1][1]])
    drawn = torch.tensor(drawn)
    assert (drawn > 0).all() and drawn.sum(1).allclose(torch.tensor(2.0))
    assert drawn.mean(0).tolist() == pytest.approx([1, 1], abs=0.06)
    torch.manual_seed(3)
    z = torch.randn(2)
    torch.manual_seed(3)
    gradient(balance, scaled(a=1.0, target=1.0))
    assert [*balance.weights.values()] == pytest.approx((2 * z.softmax(0)).tolist())


def test_uncertainty_by_hand_and_where_it_settles():
    balance = Uncertainty(context(), rate=3.0)
    assert balance.rate == 3.0
    balance.log_variance.data = torch.tensor([math.log(2.0), 0.0])
    assert gradient(balance, scaled(a=3.0, target=5.0)).tolist() == pytest.approx([1.5, 5.0])
    # d/ds (e^-s L + s / 2) = 1/2 - e^-s L
    assert balance.log_variance.grad.tolist() == pytest.approx([0.5 - 1.5, 0.5 - 5.0])
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        gradient(balance, scaled(a=3.0, target=0.25))
        optimizer.step()
    assert [*balance.weights.values()] == pytest.approx([1 / 6, 2.0], rel=1e-3)


def test_dynamic_weight_average_by_hand():
    balance = DynamicWeightAverage(context(), temperature=0.5, every=2)
    given = [(4, 1), (2, 3), (1, 1), (2, 3), (5, 5)]  # windows of means (3, 2), (1.5, 2), and a step in the third
    for position, (a, target) in enumerate(given):
        gradient(balance, scaled(a=float(a), target=float(target)))
        if position < 4:
            assert numbers(balance.weights) == {"a": 1, "target": 1}
    e = [math.exp(0.5 / 0.5), math.exp(1.0 / 0.5)]
    assert [*balance.weights.values()] == pytest.approx([2 * each / sum(e) for each in e])


def test_dynamic_weight_average_keeps_what_it_knows_of_a_task_without_losses():
    balance = DynamicWeightAverage(context(), temperature=1.0, every=1)
    for a in (4.0, 2.0):
        gradient(balance, scaled(a=a, target=1.0))
    for _ in range(3):  # for the target alone: M_target stays 1, and a's ratio 1/2
        gradient(balance, scaled(target=1.0))
        assert numbers(balance.weights) == {"target": 1}
    gradient(balance, scaled(a=2.0, target=1.0))
    e = [math.exp(0.5), math.exp(1.0)]
    assert [*balance.weights.values()] == pytest.approx([2 * each / sum(e) for each in e])


def test_the_geometric_mean_is_autograds_and_blind_to_scale():
    x = torch.nn.Parameter(torch.ones(2))
    (2 * (quadratic(x)["a"] * quadratic(x)["target"]).sqrt()).backward()
    found = gradient(GeometricMean(context()), quadratic)
    torch.testing.assert_close(found, x.grad)
    larger = gradient(GeometricMean(context()), lambda x: {"a": 1e4 * quadratic(x)["a"], "target": quadratic(x)["target"]})
    torch.testing.assert_close(larger, 100 * found)
    # 0.5 of both: the step of `equal`.
    torch.testing.assert_close(gradient(GeometricMean(context()), scaled(a=0.5, target=0.5)), torch.tensor([0.5, 0.5]))
    balance = GeometricMean(context(), epsilon=1e-4)
    assert gradient(balance, scaled(a=1e-6, target=1.0)).tolist() == pytest.approx([0, 0.01])


def test_famo_is_the_gradient_of_its_loss():
    balance = Famo(context(), lowest=-1.0)
    balance.xi.copy_(torch.tensor([0.3, -0.6]))
    x = torch.nn.Parameter(torch.ones(2))
    z = balance.xi.softmax(0)
    values = torch.stack([*quadratic(x).values()]) + 1
    constant = 1 / (z / values.detach()).sum()
    (2 * constant * (z * values.log()).sum()).backward()
    torch.testing.assert_close(gradient(balance, quadratic), x.grad)
    assert sum(numbers(balance.weights).values()) == pytest.approx(2)


def test_famo_moves_its_logits_as_adam_does():
    balance = Famo(context(), rate=0.025, decay=0.01)
    xi = torch.nn.Parameter(torch.zeros(2))
    adam = torch.optim.Adam([xi], lr=0.025, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        before, after = torch.rand(2, 2, generator=generator) + 0.1
        gradient(balance, scaled(a=float(before[0]), target=float(before[1])))
        balance.again(lambda after=after: {"a": after[0], "target": after[1], "l2": after.sum()})
        adam.zero_grad()
        (xi.softmax(0) * (before.log() - after.log())).sum().backward()
        adam.step()
    torch.testing.assert_close(balance.xi, xi.detach(), atol=1e-5, rtol=1e-4)


def test_famo_gives_more_to_the_task_that_falls_less():
    balance = Famo(context())
    for _ in range(20):
        gradient(balance, scaled(a=1.0, target=1.0))
        balance.again(lambda: {"a": torch.tensor(0.5), "target": torch.tensor(0.99)})
    assert balance.weights["target"] > 1.3 > 0.7 > balance.weights["a"]
    xi = balance.xi.clone()
    gradient(balance, scaled(target=1.0))
    balance.again(lambda: {"target": torch.tensor(0.1)})
    assert torch.equal(balance.xi, xi)


@pytest.mark.parametrize(("shape", "expected"), [("linear", [0.8, 0.6, 0.4]), ("cosine", [0.8, 0.6, 0.4])])
def test_auxiliary_weights_go_from_first_to_last(shape, expected):
    balance = Auxiliary(context(("a", "target", "b"), steps=3), first=0.8, last=0.4, shape=shape)
    for weight in [*expected, expected[-1]]:
        gradient(balance, scaled(a=1.0, target=1.0, b=3.0))
        assert numbers(balance.weights) == pytest.approx({"a": weight, "target": 1, "b": weight})
    quarter = Auxiliary(context(steps=5), shape=shape)
    quarter.step += 1
    assert float(quarter.source_weight()) == pytest.approx(0.75 if shape == "linear" else (1 + math.cos(math.pi / 4)) / 2)


def test_auxiliary_of_one_is_equal_and_needs_a_target():
    assert gradient(Auxiliary(context(), first=1.0, last=1.0), quadratic).equal(gradient(equal, quadratic))
    with pytest.raises(Problem, match=r"balance=auxiliary weighs sources against the target, .* reads a and b only"):
        Auxiliary(context(("a", "b")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicWeightAverage(context(), temperature=0.0), "balance.temperature=0.0: give a number above 0"),
        (lambda: DynamicWeightAverage(context(), every=0), "balance.every=0: give 1 step or more"),
        (lambda: GeometricMean(context(), epsilon=0.0), "balance.epsilon=0.0: give a number above 0"),
        (lambda: Famo(context(), rate=-1.0), "balance.rate=-1.0: give 0 or more"),
        (lambda: Famo(context(), decay=math.nan), "balance.decay=nan: give 0 or more"),
        (lambda: Auxiliary(context(), last=-1.0), "balance.last=-1.0: give a weight of 0 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(Problem, match=message):
        make()
