"""Weights of classes: scikit-learn's balanced ones, and those of effective numbers."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from toys.contexts import LABELS, fixed_context, fixed_loss
from toys.networks import LOGITS

from xlearn.objectives.supervised.class_weights import class_weights
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.deferred import Deferred
from xlearn.objectives.supervised.focal import Focal


def test_balanced_class_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = [0] * 6 + [1] * 3 + [2] * 1
    expected = compute_class_weight("balanced", classes=numpy.array([0, 1, 2]), y=numpy.array(labels))
    found = class_weights("balanced", torch.tensor([6, 3, 1]))
    assert found.tolist() == pytest.approx(expected.tolist())
    assert class_weights("balanced", torch.tensor([4, 0]))[1] == 0


def test_effective_weights_by_hand():
    # 1 - 0.5^n is 1/2, 3/4 and 7/8 for 1, 2 and 3 examples: weights as 2, 4/3 and 8/7, scaled to the sum 3.
    numbers = [2, 4 / 3, 8 / 7]
    found = class_weights("effective", torch.tensor([1, 2, 3]), beta=0.5)
    assert found.tolist() == pytest.approx([3 * each / sum(numbers) for each in numbers])
    assert class_weights("effective", torch.tensor([1, 0, 3]), beta=0.5).tolist() == pytest.approx([14 / 11 * 1.5, 0, 12 / 11])


@given(st.lists(st.integers(1, 500), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_effective_weights_go_from_equal_to_inverse_frequency(counts):
    numbers = torch.tensor(counts)
    assert class_weights("effective", numbers, beta=0.0).tolist() == [1.0] * len(counts)
    inverse = class_weights("balanced", numbers)
    near = class_weights("effective", numbers, beta=1 - 1e-9)
    torch.testing.assert_close(near, inverse * len(counts) / inverse.sum(), rtol=1e-4, atol=0)
    assert class_weights("effective", numbers).sum().item() == pytest.approx(len(counts), rel=1e-5)


def test_objectives_take_effective_weights():
    weights = class_weights("effective", torch.tensor((6, 3, 1)))
    expected = functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS), weight=weights)
    for objective in (
        CrossEntropy(fixed_context(), class_weights="effective"),
        Focal(fixed_context(), gamma=0.0, class_weights="effective"),
        Deferred(fixed_context(), after=0.0),
    ):
        assert fixed_loss(objective).item() == pytest.approx(expected.item())
