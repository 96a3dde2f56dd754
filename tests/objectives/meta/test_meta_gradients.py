"""What is learned through gradient descent for each task: against closed forms, loops by hand and other libraries."""

import copy
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from toys.episodes import (
    KIND,
    NUMBER,
    WAYS,
    begun,
    by_task,
    close,
    descent,
    episode,
    line_episode,
    moved_statistics,
    on_columns,
    on_images,
    scattered,
)

from xlearn.objectives.meta.query_loss import task_losses
from xlearn.objectives.meta.reptile import Reptile

HEAD = (f"head.{NUMBER.key}.weight", f"head.{NUMBER.key}.bias")


def columns(batch, tasks):
    """numpy `[tasks, n, columns + 1]` with ones for the bias, `[tasks, n]`."""
    x = batch.inputs["tabular"].unflatten(0, (tasks, -1)).numpy()
    return numpy.concatenate([x, numpy.ones((*x.shape[:2], 1))], 2), batch.labels.unflatten(0, (tasks, -1))[:, :, 0].numpy()


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_linear_model_has_the_gradient_of_the_closed_form(steps, first_order):
    """A step on `mean (X w - y)^2` is affine in w, `w <- (1 - a H) w + a b` with `H = 2/n X'X`: so is all of the descent."""
    support, query, tasks = which = line_episode()
    network, rate = on_columns(), 0.1
    begin = torch.cat([network.get_parameter(name).detach().flatten() for name in HEAD]).numpy()
    expected, losses = numpy.zeros(4), []
    for x, y, q, z in zip(*columns(support, tasks), *columns(query, tasks), strict=True):
        weights, slope = begin, numpy.eye(4)
        curvature = 2 / len(x) * x.T @ x
        for _ in range(steps):
            weights = weights - rate * (curvature @ weights - 2 / len(x) * x.T @ y)
            slope = (numpy.eye(4) - rate * curvature) @ slope
        gradient = 2 / len(q) * q.T @ (q @ weights - z)
        expected += (gradient if first_order else slope.T @ gradient) / tasks
        losses.append(numpy.mean((q @ weights - z) ** 2))
    learner = descent(rate, steps, first_order=first_order)
    found = scattered(learner, network, which)
    assert torch.cat([found[name].flatten() for name in HEAD]).numpy() == pytest.approx(expected, rel=1e-10)
    measured = task_losses(query.space, learner(network, support, query, tasks), query.labels).detach().numpy()
    assert measured == pytest.approx(losses, rel=1e-10)


@pytest.mark.parametrize("vectorised", ["never", "always"])
@pytest.mark.parametrize("trains", ["all", "head"])
def test_the_second_order_gradient_is_that_of_finite_differences(trains, vectorised):
    support, query, tasks = which = line_episode()
    network, learner = on_columns(4), descent(0.3, 2, trains=trains, vectorised=vectorised)
    found = scattered(learner, network, which)

    def loss():
        return float(task_losses(query.space, learner(network, support, query, tasks), query.labels).mean().detach())

    for name, each in network.named_parameters():
        direction = torch.randn(each.shape, generator=torch.Generator().manual_seed(1), dtype=each.dtype)
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                each.add_(direction, alpha=sign * 1e-5)
            sides.append(loss())
            with torch.no_grad():
                each.sub_(direction, alpha=sign * 1e-5)
        assert float((found[name] * direction).sum()) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6), name


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("name", ["mlp", "conv4"])
def test_it_is_what_higher_computes(name, first_order):
    """Grefenstette et al., 2019: another differentiable loop, over the modules of the network as they are."""
    higher = pytest.importorskip("higher")
    support, query, tasks = which = episode()
    network = on_images(name).train()
    found = scattered(descent(0.2, 3, first_order=first_order), network, which)
    network.zero_grad()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
    for x, y, q, z in by_task(support, query, tasks):
        with higher.innerloop_ctx(network, optimizer, copy_initial_weights=False, track_higher_grads=not first_order) as (
            fast,
            differentiable,
        ):
            for _ in range(3):
                differentiable.step(functional.cross_entropy(fast(x), y))
            loss = functional.cross_entropy(fast(q), z) / tasks
            if first_order:
                # Where the loop is not tracked, the gradients at its end are added to the network's own by hand.
                for own, grad in zip(network.parameters(), torch.autograd.grad(loss, fast.parameters()), strict=True):
                    own.grad = grad if own.grad is None else own.grad + grad
            else:
                loss.backward()
    close(found, {key: each.grad for key, each in network.named_parameters()}, rtol=1e-3, atol=1e-5)


def adapted(network, x, y, rate, steps, moves=lambda name: True, create=False):
    """Weights after plain gradient descent on one task."""
    weights = {name: each for name, each in network.named_parameters() if moves(name)}
    for _ in range(steps):
        loss = functional.cross_entropy(functional_call(network, weights, (x,)), y)
        grads = torch.autograd.grad(loss, [*weights.values()], create_graph=create)
        weights = {name: each - rate * grad for (name, each), grad in zip(weights.items(), grads, strict=True)}
    return weights


def test_first_order_is_the_gradient_at_the_adapted_weights():
    support, query, tasks = which = episode()
    network = on_images("mlp")
    expected = {name: torch.zeros_like(each) for name, each in network.named_parameters()}
    for x, y, q, z in by_task(support, query, tasks):
        there = {name: each.detach().requires_grad_() for name, each in adapted(network, x, y, 0.1, 2).items()}
        loss = functional.cross_entropy(functional_call(network, there, (q,)), z) / tasks
        for name, grad in zip(there, torch.autograd.grad(loss, [*there.values()]), strict=True):
            expected[name] += grad
    found = scattered(descent(first_order=True), network, which)
    close(found, expected, rtol=1e-4, atol=1e-6)
    second = scattered(descent(), network, which)
    assert any(not torch.allclose(second[name], each, rtol=1e-2, atol=1e-4) for name, each in found.items())


@pytest.mark.parametrize("first_order", [False, True])
def test_anil_is_the_descent_of_everything_with_the_body_held(first_order):
    which = episode()
    network = moved_statistics(on_images("cnn"))
    found = scattered(descent(trains="head", first_order=first_order), network, which)

    def learner(network, support, query, tasks):
        logits = []
        for x, y, q, _ in by_task(support, query, tasks):
            weights = adapted(network, x, y, 0.1, 2, lambda name: name.startswith("head."), create=True)
            if first_order:
                change = {name: (each - network.get_parameter(name)).detach() for name, each in weights.items()}
                weights = {name: network.get_parameter(name) + each for name, each in change.items()}
            logits.append(functional_call(network, weights, (q,)))
        return torch.stack(logits)

    close(found, scattered(learner, network.train(), which), rtol=1e-3, atol=2e-5)
    # The body learns through it all the same.
    assert float(found["encoder.image.blocks.0.0.weight"].abs().max()) > 1e-4


def with_rates(network, learner):
    network.rates = learner.parts(network)
    return network


def test_meta_sgd_with_equal_rates_is_maml_and_its_rates_have_gradients():
    which = episode()
    plain, learner = on_images("mlp"), descent(learned_rates=True)
    network = with_rates(copy.deepcopy(plain), learner)
    maml, found = scattered(descent(), plain, which), scattered(learner, network, which)
    close(maml, {name: found[name] for name in maml}, rtol=1e-5, atol=1e-7)
    rates = {name: found[name] for name in found if name.startswith("rates.")}
    assert {name.removeprefix("rates.").replace(":", ".") for name in rates} == maml.keys()
    assert all(bool(each.abs().sum() > 0) for each in rates.values())
    assert torch.equal(descent().curve(plain, *which), learner.curve(network, *which))
    with torch.no_grad():
        network.rates[next(iter(network.rates))].mul_(3)
    assert not torch.equal(descent().curve(plain, *which), learner.curve(network, *which))


def test_the_gradient_of_a_rate_is_that_of_one_step_by_hand():
    """After one step `w' = w - a * g` the derivative by a is `-g * dL/dw'`, number by number, here with a linear model."""
    support, query, _ = which = line_episode(tasks=1)
    learner = descent(0.2, 1, learned_rates=True)
    network = with_rates(on_columns(), learner)
    found = scattered(learner, network, which)
    [x], [y] = columns(support, 1)
    [q], [z] = columns(query, 1)
    begin = torch.cat([network.get_parameter(name).detach().flatten() for name in HEAD]).numpy()
    gradient = 2 / len(x) * x.T @ (x @ begin - y)
    after = 2 / len(q) * q.T @ (q @ (begin - 0.2 * gradient) - z)
    rates = torch.cat([found["rates." + name.replace(".", ":")].flatten() for name in HEAD]).numpy()
    assert rates == pytest.approx(-gradient * after, rel=1e-10)


def test_only_what_moves_has_a_rate_of_its_own():
    network = on_images("mlp")
    head = [f"head.{WAYS.key}.weight", f"head.{WAYS.key}.bias"]
    for trains, names in (("all", [name for name, _ in network.named_parameters()]), ("head", head)):
        parts = descent(0.25, trains=trains, learned_rates=True).parts(network)
        assert isinstance(parts, nn.ParameterDict) and {name.replace(":", ".") for name in parts} == {*names}
        assert all(bool((each == 0.25).all()) and each.requires_grad for each in parts.values())
    assert descent().parts(network) is None


@pytest.mark.parametrize("vectorised", ["never", "always"])
def test_reptile_points_from_where_the_tasks_end(vectorised):
    support, query, tasks = episode(replace(KIND, queries=0))
    network = on_images("mlp")
    before = {name: each.detach().clone() for name, each in network.named_parameters()}
    ends = [adapted(network, x, y, 0.1, 4) for x, y, _, _ in by_task(support, query, tasks)]
    mean = {name: torch.stack([each[name].detach() for each in ends]).mean(0) for name in before}
    objective = Reptile(begun(network, descent(0.1, 4, vectorised=vectorised), replace(KIND, queries=0)))
    [loss] = objective(network, {"support": support}).values()
    distance = sum(float((before[name] - end[name].detach()).square().sum()) for end in ends for name in before)
    assert float(loss.detach()) == pytest.approx(distance / 2 / tasks, rel=1e-4)
    loss.backward()
    close(
        {name: each.grad for name, each in network.named_parameters()},
        {n: before[n] - mean[n] for n in mean},
        atol=1e-6,
        rtol=1e-3,
    )
    torch.optim.SGD(network.parameters(), lr=0.3).step()
    close(dict(network.named_parameters()), {n: before[n] + 0.3 * (mean[n] - before[n]) for n in mean}, atol=1e-6, rtol=1e-4)
