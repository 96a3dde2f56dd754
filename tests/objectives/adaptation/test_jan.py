"""JAN: the joint discrepancy of features and predictions."""

import numpy
import pytest
import torch
from torch.nn import functional
from toys.tasks import draw

from xlearn.objectives.adaptation.jan import joint
from xlearn.objectives.adaptation.kernels import ALPHAS, discrepancy, mmd


def test_jan_by_hand() -> None:
    """One example each: 1 * 5 twice within, and the product across."""
    features, predictions = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    across = sum(numpy.exp(-4 / (2 * alpha * 2)) for alpha in ALPHAS) * numpy.exp(-2 / (2 * 0.5**2))
    assert float(discrepancy(joint(features, predictions, 0.5), 1, "biased")) == pytest.approx(10 - 2 * across, rel=1e-5)


def test_jan_sees_what_the_features_alone_do_not() -> None:
    """The same features on both sides, with predictions that go with them the other way round."""
    features = torch.cat([draw(10, 3), draw(10, 3)])
    one = functional.one_hot((draw(10) > 0).long(), 2).float()
    assert torch.allclose(discrepancy(joint(features, torch.cat([one, one]), 0.92), 10, "biased"), torch.tensor(0.0), atol=1e-6)
    assert discrepancy(joint(features, torch.cat([one, one.flip(1)]), 0.92), 10, "biased") > 0.1
    # Predictions that are all alike tell nothing: it is MMD.
    alike = discrepancy(joint(features + 0.1 * draw(20, 3, seed=4), torch.ones(20, 2) / 2, 0.92), 10)
    assert torch.allclose(alike, mmd(*(features + 0.1 * draw(20, 3, seed=4)).split(10)), atol=1e-6)
