"""Only what matches a pattern."""

import pytest
from toys.networks import below_head, image_network
from toys.tasks import random_images

from xlearn.runtime.errors import Problem
from xlearn.trainable._only import only


def test_only_what_matches_trains():
    network = image_network(random_images())
    assert below_head(only(network, patterns=["head.*"])) == set()
    assert below_head(only(network, patterns=["head.*", "encoder.*.blocks.1.*"])) == {
        "encoder.image.blocks.1.0.weight", "encoder.image.blocks.1.0.bias",
    }  # fmt: skip
    with pytest.raises(Problem, match="'sharing.\\*' matches no parameter"):
        only(network, patterns=["head.*", "sharing.*"])
