"""Kernels and the mean discrepancy: by hand, laws, and other implementations on the same tensors."""

import numpy
import pytest
import torch
from toys.references import skada
from toys.tasks import draw

from xlearn.objectives.adaptation.kernels import ALPHAS, discrepancy, gaussian, mmd, squared_distances


def test_squared_distances() -> None:
    points = draw(9, 4) + 1000  # far from the origin
    scipy = pytest.importorskip("scipy.spatial.distance")
    expected = torch.from_numpy(scipy.cdist(points.double().numpy(), points.double().numpy(), "sqeuclidean")).float()
    assert torch.allclose(squared_distances(points), expected, atol=1e-4)


def test_mmd_by_hand() -> None:
    # Points 0 and 2 against 1 and 1: squared distances 4 (twice in 16), 1 (8 times), so their mean is 1.
    source, target = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    near, far = (sum(numpy.exp(-each / (2 * alpha)) for alpha in (0.125, 0.25, 0.5, 1.0, 2.0)) for each in (1, 4))
    assert float(mmd(source, target, "biased")) == pytest.approx((5 + far) / 2 + 5 - 2 * near, rel=1e-5)
    assert float(mmd(source, target)) == pytest.approx(far + 5 - 2 * near, rel=1e-5)


def test_the_kernel_is_scikit_learns() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    points = draw(12, 3).double()
    squared = squared_distances(points)
    expected = sum(pairwise.rbf_kernel(points.numpy(), gamma=1 / (2 * alpha * float(squared.mean()))) for alpha in ALPHAS)
    assert numpy.allclose(gaussian(squared).numpy(), expected)


def test_the_discrepancy_is_skadas() -> None:
    """Of the same kernel: skada's dan_loss has Laplace kernels."""
    source, target = draw(10, 4), draw(14, 4, seed=1) + 0.5
    points, widths = torch.cat([source, target]), [0.5, 1.0, 4.0]
    kernel = torch.stack([torch.exp(-torch.cdist(points, points) / width) for width in widths]).sum(0)
    assert torch.allclose(
        discrepancy(kernel, 10, "biased"), skada("deep.losses").dan_loss(source, target, sigmas=widths), atol=1e-5
    )


def test_mmd_laws() -> None:
    source, target = draw(16, 5), draw(24, 5, seed=1) + 1
    assert torch.allclose(mmd(source, source.flip(0), "biased"), torch.tensor(0.0), atol=1e-6)
    assert torch.allclose(mmd(source, target), mmd(target, source), atol=1e-6)
    assert torch.allclose(mmd(source, target), mmd(7 * source + 2, 7 * target + 2), atol=1e-5)
    assert mmd(source, target, "biased") > mmd(source, draw(24, 5, seed=1), "biased") > 0
    # Two samples of one distribution: right on average, hence below 0 about as often as above; biased never.
    found = [mmd(draw(8, 3, seed=2 * n), draw(8, 3, seed=2 * n + 1)).item() for n in range(60)]
    assert min(found) < 0 < max(found) and abs(numpy.mean(found)) < 3 * numpy.std(found) / 60**0.5


def test_the_estimators_differ_by_what_each_point_is_to_itself() -> None:
    """Of n points on each side, with 5 on the kernel's diagonal: `unbiased` has n / (n - 1) (within - 5 / n) for within."""
    source, target = draw(8, 3), draw(8, 3, seed=1)
    kernel = gaussian(squared_distances(torch.cat([source, target])))
    within = kernel[:8, :8].mean() + kernel[8:, 8:].mean()
    gap = mmd(source, target, "biased") - mmd(source, target)
    assert torch.allclose(gap, within - 8 / 7 * (within - 2 * 5 / 8), atol=1e-5) and gap > 0


def test_equal_points_have_a_gradient_that_is_a_number() -> None:
    points = torch.ones(4, 3, requires_grad=True)
    mmd(points, points).backward()
    assert points.grad is not None and torch.equal(points.grad, torch.zeros(4, 3))


def test_mmd_moves_the_domains_towards_each_other() -> None:
    source, target = draw(12, 2), (draw(12, 2, seed=1) + 2).requires_grad_()
    mmd(source, target).backward()
    assert target.grad is not None and bool((target.grad.mean(0) > 0).all())  # a step against it is one down to the source
