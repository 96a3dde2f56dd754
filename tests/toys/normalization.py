"""Batch normalisation by hand: torch's own statistics of one batch in training mode."""

import copy
from dataclasses import replace

import torch
from torch import nn

from toys.networks import normalised_network
from toys.phases import CPU
from xlearn.networks.evaluate import logits
from xlearn.networks.statistics import normalisations, statistics


def in_training_mode(network, *batches):
    """A copy, normalised by hand: torch's own statistics of one batch in training mode (momentum 1) of each network part."""
    made = copy.deepcopy(network).eval()
    for module in normalisations(made):
        module.momentum = 1.0
        module.train()
    with torch.no_grad():
        for batch in batches:
            made.features(batch)
    return made.eval()


def whole(examples):
    return examples.take(torch.arange(len(examples)))


def need_same(network, other, examples):
    for (mean, variance), (own_mean, own_variance) in zip(statistics(network), statistics(other), strict=True):
        torch.testing.assert_close(mean, own_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(variance, own_variance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits(network, examples, CPU), logits(other, examples, CPU), rtol=1e-4, atol=1e-4)


def conv_network(given, momentum=0.01):
    """Two normalisations behind each other, with the small momentum of published networks."""
    made = normalised_network(given)
    made.encoder["image"].blocks[1].append(nn.BatchNorm1d(8))
    for module in normalisations(made):
        module.momentum = momentum
    return made


def pooled(task, *others):
    """One batch of the images of several tasks."""
    images = torch.cat([each.inputs["image"] for each in (task, *others)])
    return replace(whole(task), inputs={"image": images}, labels=torch.zeros(len(images), dtype=torch.int64))
