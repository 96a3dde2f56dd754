"""Co-tuning: what a target class stands for in the source's classes, and the loss."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from toys.networks import image_network
from toys.tasks import SPEC, blobs_task

from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network, tensors
from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.co_tuning import CoTuning, direct, reverse
from xlearn.runtime.errors import Problem


def context(given=None, width=8, teachers=1):
    """A student for the toy task, and a teacher of five other classes."""
    given = given or blobs_task()
    torch.manual_seed(0)
    encoder = Mlp(SPEC, widths=[16, width])
    space = Classes("other", tuple("abcde"))
    teacher = Network({"image": encoder}, Concat({"image": width}), {space.key: nn.Linear(width, 5)})
    student = image_network(given.train)
    made = PhaseContext(student, frozenset(), {"target": given.class_counts()}, (teacher,) * teachers, tasks={"target": given})
    return made, space.key


def test_direct_by_hand():
    given = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = direct(given, torch.tensor([0, 1, 0]), 2)
    torch.testing.assert_close(found, torch.tensor([[0.7, 0.3], [0.2, 0.8]]))


def test_reverse_is_a_logistic_regression_and_bayes():
    """The regression solved by other means: Newton-like steps in torch on scikit-learn's convex loss, C = 1."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    given = (2 * functional.one_hot(labels, 4) + torch.randn(60, 4, generator=generator)).softmax(1)
    weight = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(given.double() @ weight.T + bias, labels, reduction="sum") + weight.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for source in range(4):
        likelihood = (weight[:, source] + bias).detach().softmax(0)  # p(y_t | y_s), y_s one-hot
        for target in range(3):
            expected[target, source] = likelihood[target] * given[:, source].double().mean()
    expected /= expected.sum(1, keepdim=True)
    torch.testing.assert_close(reverse(given, labels, 3).double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("of", [direct, reverse])
def test_classes_that_are_the_same_stand_for_each_other(of):
    labels = torch.arange(40) % 4
    given = 0.96 * functional.one_hot(labels, 4) + 0.01
    found = of(given, labels, 4)
    assert torch.allclose(found.sum(1), torch.ones(4)) and bool((found >= 0).all())
    assert found.argmax(1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("relationship", ["direct", "reverse"])
def test_the_loss_by_hand_and_its_gradients(relationship):
    begun, key = context()
    teacher, student, given = begun.teachers[0], begun.network, begun.tasks["target"]
    before = tensors(teacher)
    objective = CoTuning(begun, weight=2.0, relationship=relationship)
    batch = given.train.take(torch.arange(6))
    [(name, loss)] = objective(student, {"target": batch}).items()
    assert name == f"co_tuning_{key}"
    with torch.no_grad():
        teacher.eval()
        said = teacher.head[key](teacher.features(given.train.take(torch.arange(len(given.train))))).softmax(1)
        wanted = {"direct": direct, "reverse": reverse}[relationship](said, given.train.labels, 3)
        log_p = teacher.head[key](student.features(batch)).log_softmax(1)
        expected = -2.0 * sum((wanted[label] * log_p[row]).sum() for row, label in enumerate(batch.labels.tolist())) / 6
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    assert all(bool(each.grad.any()) for each in (*objective.parameters(), *student.encoder.parameters()))
    assert all(each.grad is None for each in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tensors(teacher).items())
    # What is saved with the phase is the head alone.
    assert objective.state_dict().keys() == {f"head.{key}.weight", f"head.{key}.bias"}


def test_mixed_labels_stand_for_mixtures():
    begun, key = context()
    objective = CoTuning(begun)
    batch = begun.tasks["target"].train.take(torch.arange(3))
    mixed = replace(batch, labels=functional.one_hot(batch.labels, 3).float())
    plain, soft = (objective(begun.network, {"target": each})[f"co_tuning_{key}"] for each in (batch, mixed))
    torch.testing.assert_close(plain, soft)


def test_wrong_beginnings_are_told():
    few = blobs_task(shots=1)
    CoTuning(context(few)[0])
    one = few.train.subset((few.train.labels != 1).nonzero().flatten())
    for begun, options, told in (
        (
            context(few),
            {"relationship": "reverse"},
            "'c0' of .* has 1 labelled example.*needs 2 per class. Raise shots or use rel",
        ),
        (context(replace(few, train=one)), {}, "'c1' of .* has 0 labelled example.*relationship=direct needs 1 per class"),
        (context(), {"weight": -1.0}, "weight=-1.0: give 0 or more"),
        (context(width=6), {}, "width 6, but the target's network has width 8"),
        (context(teachers=0), {}, "needs one teacher, but there is none"),
        (context(teachers=2), {}, "needs one teacher, but there are 2"),
    ):
        with pytest.raises(Problem, match=told):
            CoTuning(begun[0], **options)
