"""Layers that an objective has for itself."""

import torch
from toys.teachers import network_of

from xlearn.objectives.parts.layers import linear


def test_a_regressor_begins_by_the_seed_alone():
    torch.manual_seed(5)
    one = linear(3, 4, network_of("cnn"), "fitnets")
    assert torch.equal(one.weight, linear(3, 4, network_of("cnn"), "fitnets").weight)
    others = [linear(3, 4, network_of("cnn", seed=1), "fitnets"), linear(3, 4, network_of("cnn"), "crd")]
    assert not any(torch.equal(one.weight, each.weight) for each in others) and one.weight.abs().max() <= 3**-0.5
