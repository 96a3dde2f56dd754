"""What every balance by gradients keeps to."""

import math

import pytest
import torch
from toys.balances import BY_GRADIENTS, CONFLICT, NETWORK, context, direction, jacobians, made, roles

from xlearn.balance import Backward
from xlearn.runtime.errors import Problem


@pytest.mark.parametrize("name", BY_GRADIENTS)
class TestEvery:
    @pytest.mark.parametrize("tasks", [2, 5])
    def test_gradients_of_one_length_without_conflict_are_added(self, name, tasks):
        for jacobian in (3 * torch.eye(tasks, 8), torch.ones(tasks, 8) / 7):
            found, weights = direction(made(name, tasks), jacobian)
            if name == "gradient_similarity" and jacobian[0, 1] == 0:
                assert weights.tolist() == [1] + [0] * (tasks - 1)
            else:
                torch.testing.assert_close(found, jacobian.sum(0), atol=1e-4, rtol=1e-4)

    def test_the_order_of_tasks_does_not_matter(self, name):
        for jacobian in jacobians():
            if name == "pcgrad":
                jacobian = jacobian[:2]  # of more, it depends on a random order
            turned = torch.arange(len(jacobian)).roll(1)
            names = [roles(len(jacobian))[position] for position in turned]
            found, weights = direction(made(name, len(jacobian)), jacobian)
            balance = BY_GRADIENTS[name](context(names))
            again, others = direction(balance, jacobian[turned], names)
            torch.testing.assert_close(again, found, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(others, weights[turned], atol=1e-5, rtol=1e-5)

    def test_no_gradient_breaks_it(self, name):
        generator = torch.Generator().manual_seed(4)
        for tasks in (2, 3, 6, 10):
            random = torch.randn(tasks, 5, generator=generator)
            scales = 10 ** torch.linspace(-8, 8, tasks)[:, None]
            same = random[:1].expand(tasks, 5)
            signs = torch.tensor([(-1.0) ** n for n in range(tasks)])[:, None]
            zeros = random * (torch.arange(tasks) % 2)[:, None]
            nothing = torch.zeros(tasks, 5)
            cases = [random * scales, same, same * signs, same * scales, same * signs * scales, zeros, nothing]
            cases += [random - random.mean(0), random * 1e-18, random * 1e15, same + 1e-4 * random]
            for case, jacobian in enumerate(cases):
                found, weights = direction(made(name, tasks), jacobian)
                assert found.isfinite().all() and weights.isfinite().all(), (tasks, case)

    def test_a_task_without_a_gradient_is_left_out(self, name):
        jacobian = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
        found, weights = direction(made(name, 3), jacobian)
        expected, others = direction(BY_GRADIENTS[name](context(roles(3))), jacobian[[0, 2]], ["target", "s2"])
        torch.testing.assert_close(found, expected)
        assert weights[[0, 2]].tolist() == pytest.approx(others.tolist()) and weights[1] == 1

    def test_a_task_may_lack_a_loss_and_penalties_are_added(self, name):
        balance = made(name, 3)
        x = torch.nn.Parameter(torch.zeros(2))
        alone = {"s1": 1 + 2 * x[0], "l2": x[1]}
        balance(alone, Backward(NETWORK, [x]))
        assert x.grad.tolist() == [2, 1] and balance.weights == {"s1": 1}
        x.grad = None

        def pair():
            return {"s2": 1 + CONFLICT[1] @ x, "target": 1 + CONFLICT[0] @ x}

        balance(pair(), Backward(NETWORK, [x]))
        without, x.grad = x.grad, None
        made(name, 3)({**pair(), "l2": 3 * x[1], "other": x[0]}, Backward(NETWORK, [x]))
        torch.testing.assert_close(x.grad, without + torch.tensor([1.0, 3.0]), atol=1e-5, rtol=1e-5)
        x.grad = None
        balance({"l2": x[1]}, Backward(NETWORK, [x]))
        assert x.grad.tolist() == [0, 1] and balance.weights == {}

    def test_a_broken_gradient_is_named_and_one_task_is_refused(self, name):
        x = torch.nn.Parameter(torch.zeros(2))
        with pytest.raises(Problem, match="The loss of task s1 is nan and its gradient is not finite. Lower optimizer.lr"):
            made(name)({"target": x.sum(), "s1": x.sum() * math.nan}, Backward(NETWORK, [x]))
        with pytest.raises(Problem, match=f"balance={name} weighs the losses of several tasks"):
            BY_GRADIENTS[name](context(["target"]))
