"""What every balance by losses keeps to."""

import math

import pytest
import torch
from toys.balances import BY_LOSSES, NETWORK, context, gradient, numbers, quadratic, scaled

from xlearn.balance import Backward
from xlearn.balance._equal import equal
from xlearn.runtime.errors import Problem


@pytest.mark.parametrize("name", BY_LOSSES)
class TestEvery:
    def test_penalties_are_added_unweighted(self, name):
        balance = BY_LOSSES[name](context())
        torch.manual_seed(0)
        plain = gradient(balance, quadratic)
        weights = numbers(balance.weights)
        torch.manual_seed(0)
        found = gradient(BY_LOSSES[name](context()), lambda x: {"l2": 5 * x[1], **quadratic(x), "other": x[0]})
        torch.testing.assert_close(found, plain + torch.tensor([1.0, 5.0]))
        assert weights.keys() == {"a", "target"}
        assert gradient(balance, lambda x: {"l2": 5 * x[1]}).tolist() == [0, 5]

    def test_the_gradient_is_that_of_the_weighted_losses(self, name):
        balance = BY_LOSSES[name](context(("a", "target", "b")))
        for _ in range(5):
            found = gradient(balance, lambda x: {**quadratic(x), "b_one": x.sum(), "b": x[0] ** 2})
            w = numbers(balance.weights)
            expected = gradient(
                equal, lambda x, w=w: {**{k: w[k] * v for k, v in quadratic(x).items()}, "b": w["b"] * (x.sum() + x[0] ** 2)}
            )
            torch.testing.assert_close(found, expected)

    def test_a_task_alone_counts_and_the_other_is_not_forgotten(self, name):
        balance = BY_LOSSES[name](context())
        for losses in (scaled(a=2.0), scaled(target=2.0), scaled(a=2.0, target=1.0)):
            found = gradient(balance, losses)
            again = getattr(balance, "again", None)
            if again:
                again(lambda losses=losses: losses(torch.ones(2)))
            assert found.isfinite().all() and balance.weights.keys() == losses(torch.ones(2)).keys()
            assert all(weight >= 0 for weight in numbers(balance.weights).values())
        if name not in ("uncertainty", "auxiliary"):
            gradient(balance, scaled(a=2.0))
            assert numbers(balance.weights) == pytest.approx({"a": 1})

    def test_the_order_of_tasks_does_not_matter(self, name):
        if name == "random":
            pytest.skip("drawn in the order of tasks")
        one, other = BY_LOSSES[name](context(("a", "target"))), BY_LOSSES[name](context(("target", "a")))
        for value in (3.0, 2.0, 4.0, 1.0, 2.0, 7.0):
            for balance, names in ((one, ("a", "target")), (other, ("target", "a"))):
                values = {"a": value, "target": 6.0 / value}
                gradient(balance, scaled(**{role: values[role] for role in names}))
                if hasattr(balance, "again"):
                    balance.again(lambda names=names, value=value: {k: torch.tensor(value if k == "a" else 1.0) for k in names})
            assert numbers(one.weights) == pytest.approx(numbers(other.weights))

    def test_a_broken_loss_is_left_for_the_loop_to_report(self, name):
        losses = {"a": torch.tensor(math.nan, requires_grad=True) * 1, "target": torch.tensor(1.0, requires_grad=True) * 1}
        BY_LOSSES[name](context())(losses, Backward(NETWORK, []))
        assert losses["a"].isnan() and losses["target"] == 1

    def test_state_goes_on_where_it_was(self, name):
        if not hasattr(BY_LOSSES[name](context()), "state_dict"):
            pytest.skip("has no state but torch's generator")

        def run(balance, values):
            found = []
            for value in values:
                gradient(balance, scaled(a=value, target=2.0))
                if hasattr(balance, "again"):
                    balance.again(lambda value=value: {"a": torch.tensor(value * 0.9), "target": torch.tensor(1.9)})
                found.append(numbers(balance.weights))
            return found

        whole, first, second = (BY_LOSSES[name](context(steps=7)) for _ in range(3))
        expected = run(whole, [1.0, 4.0, 2.0, 9.0, 5.0, 6.0, 8.0])
        assert run(first, [1.0, 4.0, 2.0]) == expected[:3]
        second.load_state_dict(first.state_dict())
        assert run(second, [9.0, 5.0, 6.0, 8.0]) == expected[3:]

    def test_a_single_task_is_refused(self, name):
        with pytest.raises(Problem, match=f"balance={name} weighs the losses of several tasks"):
            BY_LOSSES[name](context(("target",)))
