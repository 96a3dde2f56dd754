"""Cross-entropy: by hand, smoothed, of soft labels, and of some roles."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional
from toys.contexts import fixed_context
from toys.losses import FORMS
from toys.networks import LOGITS, Fixed
from toys.tasks import labelled_batch
from toys.teachers import inputs_of, student_and_teacher

from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.deferred import Deferred
from xlearn.objectives.supervised.focal import Focal
from xlearn.objectives.supervised.logit_adjustment import LogitAdjustment
from xlearn.runtime.errors import Problem


def test_cross_entropy_by_hand():
    p = torch.tensor(LOGITS).softmax(1)
    expected = -(p[0, 0].log() + p[1, 2].log() + p[2, 1].log()) / 3
    found = CrossEntropy(fixed_context((6, 3, 0)))(Fixed(LOGITS), labelled_batch([0, 2, 1]))
    assert found["a"].item() == pytest.approx(expected.item())
    weights = torch.tensor([9 / 18, 9 / 9, 0.0])
    weighted = -(weights[0] * p[0, 0].log() + weights[1] * p[2, 1].log()) / (weights[0] + weights[1])
    found = CrossEntropy(fixed_context((6, 3, 0)), class_weights="balanced")(Fixed(LOGITS), labelled_batch([0, 2, 1]))
    assert found["a"].item() == pytest.approx(weighted.item())


def test_cross_entropy_smooths_and_takes_soft_labels():
    smoothed = CrossEntropy(fixed_context((6, 3, 0)), label_smoothing=0.3)(Fixed(LOGITS), labelled_batch([0, 2, 1]))["a"]
    soft = 0.7 * functional.one_hot(torch.tensor([0, 2, 1])).float() + 0.1
    same = CrossEntropy(fixed_context((6, 3, 0)))(Fixed(LOGITS), labelled_batch(soft))["a"]
    assert smoothed.item() == pytest.approx(same.item())


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, math.nan])
def test_arguments_out_of_range_are_refused(share):
    with pytest.raises(Problem, match=r"objective.label_smoothing=.*: give a share in \[0, 1\)"):
        CrossEntropy(fixed_context((6, 3, 0)), label_smoothing=share)


def test_labels_of_some_roles():
    student, _, context, batches = student_and_teacher("cnn", "wide", inputs_of("image"))
    context = replace(context, class_counts={"target": torch.tensor([4, 4]), "digits": torch.tensor([4, 4])})
    both = {**batches, "digits": batches["target"]}
    assert CrossEntropy(context)(student, both).keys() == {"target", "digits"}
    assert CrossEntropy(context, roles=["target"], class_weights="balanced")(student, both).keys() == {"target"}
    assert CrossEntropy(context, roles=["target"])(student, {"digits": batches["target"]}) == {}
    with pytest.raises(Problem, match="objective.roles: the phase reads no 'targt'. Did you mean 'target'"):
        CrossEntropy(context, roles=["targt"])


@pytest.mark.parametrize("kind", [CrossEntropy, partial(Focal, gamma=1.0), LogitAdjustment, Deferred])
def test_a_role_may_have_a_dot_in_its_name(kind):
    options = {"class_weights": "balanced"} if kind is CrossEntropy else {}
    context = replace(fixed_context(), class_counts={"my.table": torch.tensor([6, 3, 1])})
    found = kind(context, **options)(Fixed(LOGITS), {"my.table": labelled_batch([0, 2, 1])["a"]})
    assert found.keys() == {"my.table"} and found["my.table"].isfinite()


def test_no_role_is_refused():
    with pytest.raises(Problem, match=r"objective.roles=\[\]: name at least one role, or null"):
        CrossEntropy(fixed_context(), roles=[])


def test_only_roles_that_it_learns_from_must_have_classes():
    given = FORMS["in common"]()
    with pytest.raises(Problem, match="objective.class_weights or label_smoothing is defined for classes"):
        CrossEntropy(given.context(), label_smoothing=0.1)
    found = CrossEntropy(given.context(), label_smoothing=0.1, roles=["target", "second"])(given.network, given.batches)
    assert found.keys() == {"target", "second"}
