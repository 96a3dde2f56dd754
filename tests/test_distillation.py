"""Distillation: a case by hand, its limits, and a teacher that stays as it is."""

import math
from dataclasses import replace

import pytest
import torch
import toys
from test_alignment import batch, network
from torch.nn import functional

from xlearn.cache import weights_digest
from xlearn.encoders.mlp import Mlp
from xlearn.errors import Problem
from xlearn.fusion.concat import Concat
from xlearn.network import Network, tensors
from xlearn.objectives import Start
from xlearn.objectives.distillation import Distillation, distillation


def start(student, teacher):
    return Start(student, frozenset(), {}, teacher)


def test_two_classes_by_hand():
    student, teacher, tau = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]]), 2.0
    # softmax(teacher / 2) = (3/4, 1/4), the student's is (1/2, 1/2)
    expected = tau**2 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert distillation(student, teacher, tau).tolist() == pytest.approx([expected], rel=1e-5)


def test_the_gradient_keeps_its_size_and_becomes_that_of_logits():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    for tau in (50.0, 1000.0):
        logits = student.clone().requires_grad_()
        distillation(logits, teacher, tau).mean().backward()
        # Hinton et al., eq. 4, for logits of mean zero: (z_s - z_t) / K
        expected = ((student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))) / 4 / 5
        torch.testing.assert_close(logits.grad, expected, rtol=0.1, atol=5 / tau / 5)
    torch.testing.assert_close(
        distillation(student, teacher, 3.0).mean(),
        9 * functional.kl_div((student / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean"),
    )


def test_weight_is_the_teacher_s_share():
    student, teacher, given = network(seed=0), network(seed=1), batch()
    labels = functional.cross_entropy(student(given), given.labels)
    taught = distillation(student(given), teacher(given), 4.0).mean()
    for weight in (0.0, 0.3, 1.0):
        losses = Distillation(start(student, teacher), weight=weight)(student, {"target": given, "other": given})
        torch.testing.assert_close(losses["target_labels"], (1 - weight) * labels)
        torch.testing.assert_close(losses["target_teacher"], weight * taught)
        torch.testing.assert_close(losses["other_teacher"], weight * taught)
        assert len(losses) == 3  # the labels of the source are not used


def test_the_teacher_evaluates_and_stays_as_it_is():
    student, given = network(), batch()
    torch.manual_seed(1)
    encoder = Mlp(toys.SPEC, widths=[8], dropout=0.5)
    teacher = Network({"image": encoder}, Concat({"image": 8}), {given.space.key: torch.nn.Linear(8, 2)})
    teacher.train()
    before = weights_digest(tensors(teacher))
    objective = Distillation(start(student, teacher))
    losses = [objective(student, {"target": given}) for _ in range(2)]
    assert torch.equal(losses[0]["target_teacher"], losses[1]["target_teacher"])  # no dropout
    sum(losses[0].values()).backward()
    assert all(each.grad is None for each in teacher.parameters())
    assert any(each.grad is not None for each in student.parameters())
    assert weights_digest(tensors(teacher)) == before and not teacher.training
    assert not isinstance(objective, torch.nn.Module)  # its parameters are no one's to train


def test_what_the_teacher_does_not_see_does_not_count():
    student, given = network(), batch(image=torch.tensor([1, 1, 0, 0, 1, 0]).bool())
    teacher = Network(
        {"image": network(seed=3).encoder["image"]}, Concat({"image": 8}), {given.space.key: torch.nn.Linear(8, 2)}
    )
    objective = Distillation(start(student, teacher), weight=1.0)
    found = objective(student, {"target": given})["target_teacher"]
    each = distillation(student(given), teacher(given), 4.0)
    torch.testing.assert_close(found, each[[0, 1, 4]].mean())
    nobody = batch(image=torch.zeros(6).bool())
    assert objective(student, {"target": nobody})["target_teacher"].detach() == 0
    assert objective(student, {"target": given, "source": given.only("tabular")}).keys() == {
        "target_labels", "target_teacher",
    }  # fmt: skip
    with pytest.raises(Problem, match="the teacher reads image, which no task has"):
        objective(student, {"target": given.only("tabular")})


def test_wrong_words_are_told():
    net = network()
    for options, told in (({"temperature": 0.0}, "temperature=0"), ({"weight": 1.5}, "weight=1.5")):
        with pytest.raises(Problem, match=told):
            Distillation(start(net, net), **options)
    with pytest.raises(Problem, match="needs a teacher"):
        Distillation(replace(start(net, net), teacher=None))
