"""Discriminators of domains: their loss and their beginning."""

import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn
from toys.contexts import adaptation_context

from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate


def test_discriminate_is_weighted_cross_entropy_with_both_domains_halves():
    torch.manual_seed(0)
    source, target = torch.randn(5), torch.randn(9)
    weights = [torch.rand(5) + 1, torch.rand(9) + 1]
    expected = [
        log_loss([label] * len(logits), logits.double().sigmoid().numpy(), sample_weight=weight.numpy(), labels=[0, 1])
        for label, logits, weight in [(1, source, weights[0]), (0, target, weights[1])]
    ]
    assert float(discriminate(source, target, *weights)) == pytest.approx(sum(expected) / 2, rel=1e-5)
    even = discriminate(source, target)
    assert torch.allclose(even, discriminate(source, target, torch.full((5,), 7.0), torch.full((9,), 0.1)))
    # Nobody of the source counts: what is left is the target's half.
    assert torch.allclose(discriminate(source, target, torch.zeros(5)), nn.functional.softplus(target).mean() / 2)
    assert torch.allclose(discriminate(torch.zeros(3), torch.zeros(2)), torch.tensor(math.log(2)))
    assert discriminate(torch.full((2,), -1e4), torch.full((2,), 1e4)) == 1e4  # finite where probabilities are 0


def test_discriminators_begin_the_same_and_differ_by_use():
    _, network = adaptation_context()
    weights = [Discriminator(8, 4, network, use).layers[0].weight for use in ("one", "one", "other")]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    layers = Discriminator(8, 8, network, "one").layers
    assert not torch.equal(layers[0].weight, layers[2].weight)
