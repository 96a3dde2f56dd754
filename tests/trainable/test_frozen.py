"""Which parameters train: everything but what is named."""

import pytest
from torch import nn
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate
from xlearn.trainable._frozen import frozen


def names(network: Network, patterns: list[str]) -> set[str]:
    rates = frozen(network, patterns=patterns)
    assert set(rates.values()) <= {Rate()}
    return set(rates)


def test_what_matches_stays():
    network = image_network(random_images())
    every = {name for name, _ in network.named_parameters()}
    assert names(network, []) == every
    assert names(network, ["encoder.*"]) == {name for name in every if name.startswith("head.")}
    assert names(network, ["encoder.image.blocks.0.*", "head.*"]) == {
        name for name in every if name.startswith("encoder.image.blocks.1.")
    }


def test_a_pattern_that_matches_nothing_is_told():
    network = image_network(random_images())
    with pytest.raises(Problem, match="'encoder.text.\\*' matches no parameter"):
        frozen(network, patterns=["encoder.text.*"])


def test_an_encoder_without_parameters_may_be_named():
    network = image_network(random_images())
    bare = Network({"image": nn.Identity()}, network.fusion, dict(network.head))
    assert names(bare, ["encoder.*"]) == {name for name, _ in bare.named_parameters()}
