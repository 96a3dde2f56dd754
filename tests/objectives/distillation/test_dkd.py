"""Decoupled distillation: its two parts by hand, and together those of the plain one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from toys.networks import pair_network
from toys.tasks import draw, pair_batch
from toys.teachers import taught_context

from xlearn.objectives.distillation.dkd import Dkd, decoupled
from xlearn.objectives.distillation.kd import distillation


def test_dkd_by_hand():
    # Probabilities 1/2, 1/4, 1/4 of the student and 1/2, 3/8, 1/8 of the teacher; the first class is the label's.
    student, teacher = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.5, 0.375, 0.125]]).log()
    own, others = decoupled(student, teacher, torch.tensor([0]), 1.0)
    assert float(own) == pytest.approx(0, abs=1e-6)
    assert float(others) == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    own, others = decoupled(student, teacher, torch.tensor([1]), 1.0)
    assert float(own) == pytest.approx(0.375 * math.log(0.375 / 0.25) + 0.625 * math.log(0.625 / 0.75))
    assert float(others) == pytest.approx(0.8 * math.log(0.8 / (2 / 3)) + 0.2 * math.log(0.2 / (1 / 3)))


@settings(deadline=None, max_examples=30)
@given(some.integers(2, 9), some.floats(0.5, 20), some.floats(0.1, 30), some.integers(0, 999))
def test_kd_is_its_two_parts(classes, tau, scale, seed):
    student, teacher = (scale * draw(7, classes, seed=seed + each).double() for each in range(2))
    labels = torch.arange(7) % classes
    own, others = decoupled(student, teacher, labels, tau)
    rest = 1 - (teacher / tau).softmax(1).gather(1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(tau**2 * (own + rest * others), distillation(student, teacher, tau))


def test_dkd_of_extreme_logits_is_finite():
    student = torch.tensor([[300.0, 0.0, -300.0], [0.0, 0.0, 500.0]], requires_grad=True)
    own, others = decoupled(student, -student.detach(), torch.tensor([0, 2]), 1.0)
    (own + others).sum().backward()
    assert own.isfinite().all() and others.isfinite().all() and student.grad.isfinite().all()


def test_dkd_has_tau_squared_and_its_weights():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch()
    own, others = decoupled(student(some_of), teacher(some_of), some_of.labels, 2.0)
    losses = Dkd(taught_context(student, teacher), temperature=2.0, weight=1.0, alpha=3.0, beta=5.0)(
        student, {"target": some_of}
    )
    torch.testing.assert_close(losses["target_teacher"], 4 * (3 * own + 5 * others).mean())
