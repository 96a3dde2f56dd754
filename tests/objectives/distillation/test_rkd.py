"""Relational distillation: distances and angles by hand, and the loss of torchdistill."""

import pytest
import torch
from torchdistill.losses.mid_level import RKDLoss
from toys.networks import pair_network
from toys.tasks import draw, pair_batch
from toys.teachers import SEEN, taught_context, two_sides

from xlearn.objectives.distillation.rkd import Rkd, relations


def test_rkd_of_three_by_hand():
    # Sides 3, 4, 5 against a line of steps 1 and 1: distances over their means 4 and 4/3.
    student, teacher = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    far = 2 * sum(0.5 * (one / 4 - other / (4 / 3)) ** 2 for one, other in ((3, 1), (4, 2), (5, 1))) / 9
    assert float(relations(student, teacher, 1.0, 0.0)) == pytest.approx(far)
    # Angles 90 degrees, and of the line 0; cosines 3/5 and -1; 4/5 and 1. Each pair (j, k) counts in both orders.
    cosines = ((0, 1), (3 / 5, -1), (4 / 5, 1))
    huber = [0.5 * (one - other) ** 2 if abs(one - other) < 1 else abs(one - other) - 0.5 for one, other in cosines]
    assert float(relations(student, teacher, 0.0, 1.0)) == pytest.approx(2 * sum(huber) / 27)


def test_rkd_is_that_of_torchdistill():
    student, teacher = draw(7, 4).requires_grad_(), draw(7, 9, seed=1)
    expected = RKDLoss("s", "t", 25.0, 50.0, "mean")(*two_sides(student, teacher))
    found = relations(student, teacher, 25.0, 50.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    [one], [other] = (torch.autograd.grad(each, student) for each in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    same = torch.ones(4, 3, requires_grad=True)  # nothing is apart
    relations(same, teacher[:4], 1.0, 1.0).backward()
    assert same.grad.isfinite().all()
    turned = torch.linalg.qr(draw(9, 9, seed=2))[0]
    assert float(relations(3 * teacher @ turned + 5, teacher, 25.0, 50.0)) == pytest.approx(0, abs=1e-6)


def test_rkd_is_of_the_examples_that_the_teacher_sees():
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    found = Rkd(taught_context(student, teacher), distance=25.0, angle=50.0)(student, {"target": some_of})["target_rkd"]
    torch.testing.assert_close(found, relations(student.features(some_of)[SEEN], teacher.features(some_of)[SEEN], 25.0, 50.0))
