"""Contrastive distillation: by hand, the objective of torchdistill, and where negatives come from."""

import math

import pytest
import torch
from torch.nn import functional
from torchdistill.losses.mid_level import CRDLoss
from toys.networks import pair_network
from toys.tasks import PAIRED, draw, pair_batch
from toys.teachers import SEEN

from xlearn.objectives import PhaseContext
from xlearn.objectives.distillation.crd import Crd, contrast


def test_crd_by_hand():
    scores, negatives = torch.tensor([[0.0, math.log(2)], [0.0, 0.0]]), torch.tensor([[0, 1], [1, 0]]).bool()
    # N / M = 1/4: h = 1 / (1 + 1/4) of the pairs; 1 - h = (1/4) / (2 + 1/4) and (1/4) / (1 + 1/4) of the others.
    assert float(contrast(scores, negatives, 4)) == pytest.approx(-2 * math.log(4 / 5) - math.log(1 / 9) - math.log(1 / 5))
    assert float(contrast(scores, torch.zeros(2, 2).bool(), 4)) == 0


def test_crd_of_a_batch_is_torchdistill_s_objective():
    theirs = CRDLoss("s", "e", "t", input_size=4, output_size=50, num_negative_samples=5, num_samples=50)
    scores = draw(6, 6)
    order = torch.stack([torch.tensor([i, *[j for j in range(6) if j != i]]) for i in range(6)])  # the positive first
    expected = theirs.compute_contrast_loss(scores.gather(1, order).exp().unsqueeze(2))
    torch.testing.assert_close(contrast(scores, ~torch.eye(6).bool(), 50) / 6, expected.squeeze(), rtol=1e-4, atol=1e-5)
    extreme = (1000 * scores).requires_grad_()
    contrast(extreme, ~torch.eye(6).bool(), 50).backward()
    assert extreme.grad.isfinite().all()


class Counted:
    """A task of which nothing but the number of examples and the kind of labels is asked."""

    train, labels = range(40), PAIRED


@pytest.mark.parametrize("negatives", ["other_class", "all"])
def test_crd_takes_negatives_from_the_batch(negatives):
    student, teacher, some_of = pair_network(seed=0), pair_network(seed=1), pair_batch(image=SEEN, tabular=SEEN)
    began = PhaseContext(student, frozenset(), {}, (teacher,), tasks={"target": Counted()})
    objective = Crd(began, width=3, temperature=0.5, weight=2.0, negatives=negatives)
    one = functional.normalize(objective.student(student.features(some_of)))
    other = functional.normalize(objective.teacher(teacher.features(some_of)))
    expected, rows = 0.0, SEEN.nonzero().flatten().tolist()
    for anchors, candidates in ((one, other), (other, one)):
        for i in rows:
            picked = [j for j in rows if j != i and (negatives == "all" or some_of.labels[j] != some_of.labels[i])]
            share = len(picked) / 40
            h = {j: (e := torch.exp(anchors[i] @ candidates[j] / 0.5)) / (e + share) for j in [i, *picked]}
            expected = expected - h[i].log() - sum((1 - h[j]).log() for j in picked)
    torch.testing.assert_close(objective(student, {"target": some_of})["target_crd"], 2 * expected / 4)
