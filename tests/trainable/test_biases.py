"""Biases alone: whose they are, and that batches suit them."""

from functools import partial

import pytest
from torch import nn
from toys.modalities import target_alone
from toys.networks import below_head, image_network, normalised_network
from toys.phases import phase
from toys.tasks import blobs_task, random_images

from xlearn.networks.network import Network
from xlearn.networks.unshared import Through
from xlearn.phases import feasible
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate
from xlearn.trainable._biases import biases


def test_biases():
    rates = biases(image_network(random_images()))
    assert below_head(rates) == {"encoder.image.blocks.0.0.bias", "encoder.image.blocks.1.0.bias"}
    assert len(rates) == 4 and set(rates.values()) == {Rate()}
    recurrent = {name.rpartition(".")[2] for name in below_head(biases(target_alone("lstm")[0]))}
    assert recurrent >= {"bias_ih_l0", "bias_hh_l0", "bias_ih_l0_reverse"}
    bare = Network({"image": nn.Identity()}, Through(2), {"a": nn.Linear(2, 2)})
    with pytest.raises(Problem, match="no bias below the head"):
        biases(bare)


def test_batch_normalisation_whose_shift_trains_needs_two_examples():
    one, roles = phase(trainable=partial(biases), batch_size=1), {"source": {}, "target": {"target": blobs_task()}}
    with pytest.raises(Problem, match="batch normalisation needs two"):
        feasible.check(one, normalised_network(blobs_task().train), roles)


def test_biases_inside_of_attention_are_biases():
    network = image_network(random_images())
    network.trunk = nn.MultiheadAttention(8, 2)
    assert {"trunk.in_proj_bias", "trunk.out_proj.bias"} <= biases(network).keys()
