"""Mean teachers."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from toys.contexts import adaptation_context, batch_of, normalised_context

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_training.mean_teacher import MeanTeacher


def test_the_teacher_is_the_moving_average():
    context, net = normalised_context()
    objective = MeanTeacher(context, decay=0.6)
    began = {name: value.clone() for name, value in objective.teacher().items()}
    assert {"trunk.0.running_mean", "trunk.0.running_var", "trunk.0.weight"} < began.keys()
    assert began.keys() == {*(name for name, _ in net.named_parameters()), "trunk.0.running_mean", "trunk.0.running_var"}
    values = [began]
    for step in range(4):
        with torch.no_grad():
            for parameter in [*net.parameters(), net.trunk[0].running_mean]:
                parameter += step + 1
        objective.follow(net)
        values.append({name: value.clone() for name, value in objective.teacher().items()})
    # d = 0, 1/2, 0.6, 0.6: the student is at +1, +3, +6, +10 of where it began.
    for name, away in (("head." + next(iter(net.head)) + ".bias", 1.0), ("trunk.0.running_mean", 1.0)):
        shifts = [(each[name] - began[name]).mean().item() for each in values[1:]]
        assert shifts == pytest.approx([1, 2, 0.6 * 2 + 0.4 * 6, 0.6 * (0.6 * 2 + 0.4 * 6) + 0.4 * 10 * away], rel=1e-4)


def test_the_consistency_is_the_squared_distance_of_predictions(monkeypatch):
    context, net = normalised_context()
    monkeypatch.setattr("xlearn.objectives.self_training.mean_teacher.weak", lambda batch: replace(batch, memo={}))
    monkeypatch.setattr("xlearn.objectives.self_training.mean_teacher.strong", lambda batch: replace(batch, memo={}))
    given, objective = batch_of(context), MeanTeacher(context, weight=2.0, ramp=0)
    net.eval()
    assert objective(net, given)["mean_teacher"].item() == pytest.approx(0, abs=1e-12)  # it agrees with itself
    before = net(replace(given[UNLABELED], memo={})).softmax(1).detach()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.5
    after = net(replace(given[UNLABELED], memo={})).softmax(1)
    found = objective(net, given)["mean_teacher"]
    assert found.item() == pytest.approx(2 * numpy.square((after - before).detach().numpy()).mean(), rel=1e-4)


def test_the_teacher_neither_moves_statistics_nor_modes_nor_has_a_gradient():
    context, net = normalised_context()
    net.train()
    net.encoder.eval()
    objective = MeanTeacher(context, ramp=0)
    modes = [module.training for module in net.modules()]
    with torch.no_grad():
        net.head[next(iter(net.head))].weight *= 2
    statistics = net.trunk[0].num_batches_tracked.clone()
    [loss] = objective(net, batch_of(context)).values()
    assert [module.training for module in net.modules()] == modes
    assert net.trunk[0].num_batches_tracked == statistics + 1  # the student's pass alone
    loss.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert not any(value.requires_grad for value in objective.teacher().values()) and not list(objective.parameters())


def test_the_weight_grows():
    context, net = adaptation_context(steps=10)
    objective = MeanTeacher(context, ramp=0.5)
    ratios = []
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.2
        for step in range(7):
            objective.step.fill_(step)
            torch.manual_seed(0)
            ratios.append(objective(net, batch_of(context))["mean_teacher"].item())
    expected = [math.exp(-5 * (1 - min(1, step / 5)) ** 2) for step in range(7)]
    assert [each / ratios[-1] for each in ratios] == pytest.approx(expected, rel=1e-4)
