"""What a network says of its modules."""

import torch
from torch import nn
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.data.task import Batch


def test_outputs_are_what_modules_gave_whatever_works_in_place():
    given = random_images()
    network = image_network(given)
    block = network.encoder["image"].blocks[0]
    block.append(nn.SiLU(inplace=True))
    path = f"encoder.image.blocks.0.{len(block) - 2}"
    network.listen(path)
    batch: Batch = given.take(torch.arange(5))
    before = network.outputs(batch)[path]
    assert torch.equal(before, block[:-1](network.encoder["image"].pixels(batch.inputs["image"]).flatten(1)))
    assert network.outputs(batch)[path] is not before  # nothing is kept without a memo
    batch.memo = {}
    assert network.outputs(batch)[path] is network.outputs(batch)[path]
    assert torch.equal(network.features(batch), network.features(given.take(torch.arange(5))))
