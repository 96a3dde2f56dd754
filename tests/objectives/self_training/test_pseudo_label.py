"""Pseudo-labels: who is confident, the ramp, and labels that carry no gradient."""

import math

import pytest
import torch
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of

from xlearn.objectives.self_training.pseudo_label import PseudoLabel
from xlearn.objectives.self_training.pseudo_labels import confident


def test_confident_by_hand():
    logits = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]).log()
    labels, mask = confident(logits.requires_grad_(), 0.7 - 1e-6)
    assert labels.tolist()[:2] == [0, 1] and mask.tolist() == [True, True, False]
    assert confident(logits, 0.0)[1].all() and not confident(logits, 1.0)[1].any()


def fixed(context, logits):
    """The network with a head that gives these logits for the first examples of the target, whatever the features."""
    [head] = context.network.head.values()
    head.forward = lambda features: logits + 0 * features.sum()
    return context.network


def test_pseudo_label_by_hand_with_its_ramp():
    context, _ = adaptation_context(steps=8)
    logits = torch.tensor([[0.95, 0.03, 0.02], [0.4, 0.3, 0.3]]).log()
    net, given = fixed(context, logits), batch_of(context, 2)
    objective = PseudoLabel(context, weight=2.0, threshold=0.9, ramp=0.5)
    full = 2.0 * -math.log(0.95) / 2  # the second is not sure, and counts in the mean
    for step in range(6):
        assert objective(net, given)["pseudo_label"].item() == pytest.approx(full * min(1, step / 4), abs=1e-7)
        objective.follow(net)
    assert PseudoLabel(context, threshold=0.9, ramp=0, weight=2.0)(net, given)["pseudo_label"].item() == pytest.approx(
        full, rel=1e-5
    )


def test_labels_carry_no_gradient():
    # d/dz of CE to a label that is held: p - onehot.
    logits = torch.tensor([[2.0, 0.0, 0.0]], requires_grad=True)
    context, _ = adaptation_context()
    net = fixed(context, logits)
    PseudoLabel(context, threshold=0.5, ramp=0)(net, batch_of(context, 1))["pseudo_label"].backward()
    expected = logits.detach().softmax(1) - functional.one_hot(torch.tensor([0]), 3)
    assert logits.grad == pytest.approx(expected)
