"""DANN: its loss as cross-entropy and beside skada's, and domains that nobody can tell apart."""

import math
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import log_loss
from toys.contexts import adaptation_context, batch_of, set_progress
from toys.references import skada

from xlearn.objectives.adaptation.dann import Dann


def test_dann_is_cross_entropy_of_the_discriminator():
    context, network = adaptation_context()
    dann, batches = Dann(context, weight=0.7, hidden=5), batch_of(context)
    features = [network.features(batches[role]).detach() for role in ("source", "unlabeled")]
    probabilities = torch.cat([dann.discriminator(each) for each in features]).sigmoid().detach().double()
    expected = log_loss([1] * 16 + [0] * 16, probabilities.numpy())
    assert dann(network, batches)["dann"].item() == pytest.approx(0.7 * expected, rel=1e-5)


def test_dann_is_half_of_skadas():
    context, network = adaptation_context()
    dann, batches = Dann(context), batch_of(context)
    source, target = (dann.discriminator(network.features(batches[role])) for role in ("source", "unlabeled"))
    # There the target is 1, so that the discriminator's answer is turned round.
    theirs = skada("deep._adversarial").DANNLoss()(domain_pred_s=(-source).sigmoid(), domain_pred_t=(-target).sigmoid())
    assert torch.allclose(dann(network, batches)["dann"], theirs / 2)


def test_nobody_can_tell_equal_domains_apart():
    """Then no discriminator does better than log 2, however it learns."""
    context, network = adaptation_context(steps=1)
    dann, batches = Dann(context), batch_of(context)
    batches["unlabeled"] = replace(batches["source"], memo={})
    set_progress(dann, 1)
    for _ in range(20):
        loss = dann(network, batches)["dann"]
        assert loss >= math.log(2) - 1e-6
        parameters = [*dann.discriminator.parameters()]
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.5 * gradient
