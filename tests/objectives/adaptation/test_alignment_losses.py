"""Statistical alignment of domains: formulas by hand, laws, and other implementations on the same tensors."""

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of, loss_of
from toys.references import draw, skada

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.adaptation.afn import Afn
from xlearn.objectives.adaptation.coral import Coral, coral
from xlearn.objectives.adaptation.deepjdot import DeepJdot
from xlearn.objectives.adaptation.jan import Jan
from xlearn.objectives.adaptation.kernels import ALPHAS, gaussian, mmd, squared_distances
from xlearn.objectives.adaptation.mcc import Mcc, confusion
from xlearn.objectives.adaptation.mmd import Mmd
from xlearn.runtime.errors import Problem

EVERY: list[Any] = [Coral, Mmd, Jan, Afn, DeepJdot, Mcc]


@pytest.mark.parametrize("kind", EVERY)
def test_a_gradient_reaches_every_parameter_of_the_encoder(kind: Any) -> None:
    loss, _, network = loss_of(kind)
    loss.backward()
    assert loss.isfinite() and loss != 0
    for parameter in network.encoder.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    ("kind", "reached"), [(Coral, False), (Mmd, False), (Afn, False), (Jan, True), (DeepJdot, True), (Mcc, True)]
)
def test_the_head_moves_where_predictions_count(kind: Any, reached: bool) -> None:
    loss, _, network = loss_of(kind)
    loss.backward()
    assert all((each.grad is not None and bool(each.grad.abs().sum() > 0)) == reached for each in network.head.parameters())


@pytest.mark.parametrize("kind", EVERY)
def test_the_weight_is_a_factor(kind: Any) -> None:
    assert torch.allclose(loss_of(kind, weight=3.0)[0], 3 * loss_of(kind, weight=1.0)[0])
    assert loss_of(kind, weight=0.0)[0] == 0


@pytest.mark.parametrize("kind", EVERY)
def test_single_precision_also_under_autocast(kind: Any) -> None:
    """From the same features on, everything is as without."""
    context, network = adaptation_context()
    batches = {role: replace(each, features=network.features(each).detach()) for role, each in batch_of(context).items()}
    [plain] = kind(context)(network, batches).values()
    with torch.autocast("cpu", torch.bfloat16):
        [mixed] = kind(context)(network, batches).values()
    assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)


@pytest.mark.parametrize("kind", EVERY)
def test_no_target_label_enters(kind: Any) -> None:
    context, network = adaptation_context()
    batches = batch_of(context)
    [before] = kind(context)(network, batches).values()
    other = replace(batches[UNLABELED], labels=torch.zeros_like(batches[UNLABELED].labels))
    [after] = kind(context)(network, {**batches, UNLABELED: other}).values()
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        *((kind, {"weight": -1.0}, "weight=-1.0: give 0 or more") for kind in EVERY),
        (Jan, {"sigma": 0.0}, "jan: sigma=0.0: .* Give more than 0"),
        (Afn, {"delta": 0.0}, "afn: delta=0.0: .* Give more than 0"),
        (DeepJdot, {"alpha": -0.5}, "deepjdot: alpha=-0.5: give 0 or more"),
        (DeepJdot, {"regularisation": -0.5}, "deepjdot: regularisation=-0.5: give 0 or more"),
        (Mcc, {"temperature": 0.0}, "mcc: temperature=0.0: give more than 0"),
    ],
)
def test_wrong_values_are_refused(kind: Any, options: dict[str, float], words: str) -> None:
    with pytest.raises(Problem, match=words):
        kind(adaptation_context()[0], **options)


@pytest.mark.parametrize("kind", EVERY)
def test_only_mcc_does_without_a_source(kind: Any) -> None:
    context, _ = adaptation_context()
    alone = replace(context, tasks={UNLABELED: context.tasks[UNLABELED]})
    if kind is Mcc:
        kind(alone)
    else:
        with pytest.raises(Problem, match="compares the target with a source"):
            kind(alone)
    with pytest.raises(Problem, match="reads none"):
        kind(replace(context, tasks={"source": context.tasks["source"]}))


def test_smallest_batches() -> None:
    assert Coral.smallest_batch(weight=2.0) == 2
    for kind in (Mmd, Jan):
        assert kind.smallest_batch(weight=2.0) == 2 and kind.smallest_batch(estimator="biased") == 1


# CORAL


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


# DAN and JAN


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


def test_mcc_by_hand() -> None:
    # Two examples with 3/4, 1/4 and 1/4, 3/4 have equal entropies, so weights of 1: C = [[10, 6], [6, 10]] / 16.
    logits = 2 * torch.tensor([[numpy.log(3.0), 0.0], [0.0, numpy.log(3.0)]], dtype=torch.float32)
    assert float(confusion(logits, 2.0)) == pytest.approx(6 / 16)


def test_mcc_weighs_who_is_certain() -> None:
    """One certain example of class 0 and one at chance: weights 2 w to 1.5 w, w = 2 / 3.5."""
    logits = torch.tensor([[60.0, 0.0], [0.0, 0.0]])
    certain, chance = 2 * 2 / 3.5, 2 * 1.5 / 3.5
    first, other = certain + chance / 4, chance / 4
    assert float(confusion(logits, 1.0)) == pytest.approx((other / (first + other) + 1 / 2) / 2, rel=1e-5)


def test_mcc_bounds() -> None:
    certain = 100 * functional.one_hot(torch.arange(9) % 3, 3).float()
    assert confusion(certain, 1.0) < 1e-6
    assert float(confusion(torch.zeros(6, 4), 1.0)) == pytest.approx(3 / 4)
    absent = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, 0.0, -1000.0]], requires_grad=True)
    loss = confusion(absent, 1.0)
    loss.backward()
    assert loss.item() == 0 and absent.grad is not None and bool(absent.grad.isfinite().all())


def test_mcc_is_skadas() -> None:
    logits = 3 * draw(20, 5)
    assert torch.allclose(confusion(logits, 2.5), skada("deep.losses").mcc_loss(logits, T=2.5), rtol=1e-4)


def test_no_gradient_through_the_weights_of_mcc() -> None:
    logits = (2 * draw(10, 3)).double().requires_grad_()
    held = functional.softmax(logits.detach() / 2.5, 1)
    weights = 1 + torch.exp(-torch.special.entr(held).sum(1))
    weights = 10 * weights / weights.sum()
    shares = functional.softmax(logits / 2.5, 1)
    matrix = torch.einsum("ni,n,nj->ij", shares, weights, shares)
    expected = 1 - (matrix.diagonal() / matrix.sum(1)).mean()
    assert torch.allclose(*(torch.autograd.grad(each, logits)[0] for each in (confusion(logits, 2.5), expected)))
