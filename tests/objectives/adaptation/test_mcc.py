"""MCC: confusion by hand, its bounds, and that of skada."""

import numpy
import pytest
import torch
from torch.nn import functional
from toys.references import skada
from toys.tasks import draw

from xlearn.objectives.adaptation.mcc import confusion


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
