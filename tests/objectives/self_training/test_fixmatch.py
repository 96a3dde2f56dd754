"""FixMatch: the strong view is to say what the weak one does."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_training.fixmatch import FixMatch


def test_fixmatch_is_the_cross_entropy_of_the_strong_view_to_the_weak_ones_labels(monkeypatch):
    context, net = adaptation_context()
    given = batch_of(context, 8)
    darker = replace(given[UNLABELED], inputs={"image": given[UNLABELED].inputs["image"] // 2}, memo={})
    monkeypatch.setattr("xlearn.objectives.self_training.fixmatch.weak", lambda batch: replace(batch, memo={}))
    monkeypatch.setattr("xlearn.objectives.self_training.fixmatch.strong", lambda batch: darker)
    chances = net(given[UNLABELED]).softmax(1)
    threshold = chances.max(1).values.median().item()
    sure = chances.max(1).values >= threshold
    assert 0 < sure.sum() < 8
    each = functional.cross_entropy(net(replace(darker, memo={})), chances.argmax(1), reduction="none")
    expected = 3.0 * each[sure].sum() / 8
    found = FixMatch(context, weight=3.0, threshold=threshold)(net, given)["fixmatch"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    wanted = torch.autograd.grad(expected, [*net.parameters()])
    for one, other in zip(torch.autograd.grad(found, [*net.parameters()]), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
