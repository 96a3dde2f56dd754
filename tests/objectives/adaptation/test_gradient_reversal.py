"""Gradient reversal: what it hands back, when it sets in, and modules that are held."""

import math

import pytest
import torch
from torch import nn

from xlearn.objectives.adaptation.gradient_reversal import Reversal, held, reverse


def test_reversal_is_the_identity_forward_and_negative_backward():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    result = reverse(x, torch.tensor(0.25))
    assert torch.equal(result, x)
    (result * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert torch.equal(x.grad, torch.tensor([-0.25, -2.5, -25.0]))


def test_reversal_sets_in_by_the_steps_that_were_trained_not_by_calls():
    reversal, network = Reversal(10, alpha=10.0, high=0.5), nn.Identity()
    found = []
    for _ in range(11):
        reversal(torch.ones(1))
        reversal(torch.ones(1))
        found.append(float(reversal.coefficient()))
        reversal.follow(network)
    assert found == pytest.approx([0.5 * (2 / (1 + math.exp(-10 * step / 10)) - 1) for step in range(11)], abs=1e-6)
    assert found[0] == 0
    assert found[-1] == pytest.approx(0.5, abs=1e-4)
    assert reversal.coefficient().ndim == 0
    assert reversal.state_dict()["step"].dtype == torch.int64


def test_the_gradient_passes_what_is_held_and_does_not_enter():
    layer, x = nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    result = held(layer, x)
    assert torch.equal(result, layer(x))
    result.sum().backward()
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(4, 3))
    assert layer.weight.grad is None
