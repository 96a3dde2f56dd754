"""CORAL: covariances by hand, laws, and those of numpy and skada."""

import numpy
import pytest
import torch
from toys.references import skada
from toys.tasks import draw

from xlearn.objectives.adaptation.coral import coral


def test_coral_by_hand() -> None:
    # Covariances [[2, 2], [2, 2]] and [[2, -2], [-2, 2]]: they differ by 4 twice, so 32 / (4 * 4).
    source, target = torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.tensor([[5.0, 2.0], [7.0, 0.0]])
    assert coral(source, target) == 2.0


def test_coral_sees_neither_means_nor_order() -> None:
    source, target = draw(20, 5), draw(30, 5, seed=1)
    assert torch.allclose(coral(source, target + 3), coral(source, target), atol=1e-6)
    assert torch.allclose(coral(source, source.flip(0) - 1), torch.tensor(0.0), atol=1e-12)
    assert torch.allclose(coral(2 * source, 2 * target), 16 * coral(source, target))


def test_coral_is_that_of_numpys_covariances() -> None:
    source, target = draw(20, 7), 2 * draw(31, 7, seed=1)
    apart = numpy.cov(source.numpy(), rowvar=False) - numpy.cov(target.numpy(), rowvar=False)
    assert float(coral(source, target)) == pytest.approx(numpy.linalg.norm(apart, "fro") ** 2 / (4 * 7**2), rel=1e-5)


def test_coral_is_skadas() -> None:
    source, target = draw(20, 7), 2 * draw(31, 7, seed=1)
    assert torch.allclose(coral(source, target), skada("deep.losses").deepcoral_loss(source, target))
