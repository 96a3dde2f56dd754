"""One block alone, counted from either end."""

import pytest
from toys.networks import below_head, image_network
from toys.tasks import random_images

from xlearn.runtime.errors import Problem
from xlearn.trainable._surgical import surgical


def test_one_block():
    network = image_network(random_images())
    first = {"encoder.image.blocks.0.0.weight", "encoder.image.blocks.0.0.bias"}
    last = {name.replace("blocks.0", "blocks.1") for name in first}
    assert below_head(surgical(network, block=1)) == below_head(surgical(network, block=-2)) == first
    assert below_head(surgical(network, block=2)) == below_head(surgical(network, block=-1)) == last
    rates = surgical(network, block=1, head=0.5)
    assert {rate.multiplier for name, rate in rates.items() if name.startswith("head.")} == {0.5}
    assert set(surgical(network, block=1, head=0.0)) == first
    for block in (0, 3, -3):
        with pytest.raises(Problem, match=f"block={block}: the encoder of image has 2 block\\(s\\). Give 1 to 2"):
            surgical(network, block=block)
