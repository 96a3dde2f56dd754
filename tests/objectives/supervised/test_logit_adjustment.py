"""Logit adjustment: balanced softmax by hand, and classes without examples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from toys.contexts import LABELS, fixed_context, fixed_loss
from toys.networks import LOGITS, Fixed

from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.objectives.supervised.logit_adjustment import LogitAdjustment
from xlearn.runtime.errors import Problem


def test_balanced_softmax_by_hand():
    terms = []
    for logits, label in zip(LOGITS, LABELS, strict=True):
        numbers = [count * math.exp(logit) for count, logit in zip((6, 3, 1), logits, strict=True)]
        terms.append(-math.log(numbers[label] / sum(numbers)))
    assert fixed_loss(LogitAdjustment(fixed_context())).item() == pytest.approx(sum(terms) / 3)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.5])
def test_logit_adjustment_is_cross_entropy_of_logits_with_the_log_prior(tau):
    prior = torch.tensor([0.6, 0.3, 0.1])
    expected = functional.cross_entropy(torch.tensor(LOGITS) + tau * prior.log(), torch.tensor(LABELS))
    assert fixed_loss(LogitAdjustment(fixed_context(), tau=tau)).item() == pytest.approx(expected.item())


@given(st.integers(1, 1000), st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_equal_classes_need_no_adjustment(count, tau):
    plain = fixed_loss(CrossEntropy(fixed_context()))
    assert fixed_loss(LogitAdjustment(fixed_context([count] * 3), tau=tau)).item() == pytest.approx(plain.item(), rel=1e-5)


def test_the_gradient_of_balanced_softmax_is_the_adjusted_probability_less_the_label():
    network = Fixed(LOGITS)
    fixed_loss(LogitAdjustment(fixed_context()), network=network).backward()
    raised = torch.tensor([6.0, 3.0, 1.0]) * torch.tensor(LOGITS).exp()
    expected = (raised / raised.sum(1, keepdim=True) - functional.one_hot(torch.tensor(LABELS))) / 3
    torch.testing.assert_close(network.logits.grad, expected)


def test_soft_labels_are_mixed():
    objective = LogitAdjustment(fixed_context())
    one, other = (functional.one_hot(torch.tensor(labels), 3).float() for labels in (LABELS, [1, 1, 0]))
    mixed = 0.25 * fixed_loss(objective) + 0.75 * fixed_loss(objective, [1, 1, 0])
    assert fixed_loss(objective, 0.25 * one + 0.75 * other).item() == pytest.approx(mixed.item())


@pytest.mark.parametrize("labels", [[0, 1, 1], [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]])
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_a_class_without_examples_is_out_of_the_loss(labels, tau):
    network, among = Fixed(LOGITS), torch.tensor([6.0, 3.0])
    found = fixed_loss(LogitAdjustment(fixed_context((6, 3, 0)), tau=tau), labels, network)
    found.backward()
    assert found.isfinite() and network.logits.grad.isfinite().all()
    if tau:
        target = torch.tensor(labels) if isinstance(labels[0], int) else torch.tensor(labels)[:, :2]
        expected = functional.cross_entropy(torch.tensor(LOGITS)[:, :2] + among.log(), target)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        assert network.logits.grad[:, 2].abs().max() < 1e-9


@pytest.mark.parametrize(
    ("tau", "words"),
    [(-0.5, r"objective.tau=-0.5: give 0 \(cross-entropy\) or more"), (math.nan, "objective.tau=nan")],
)
def test_a_tau_out_of_range_is_refused(tau, words):
    with pytest.raises(Problem, match=words):
        LogitAdjustment(fixed_context(), tau=tau)
