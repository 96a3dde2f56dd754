"""L2: by hand, and as the weight decay of plain SGD."""

import pytest
import torch
from toys.networks import Fixed, image_network
from toys.tasks import random_images

from xlearn.objectives.regularization.l2 import l2


def test_l2_by_hand():
    network = Fixed([[1.0, -2.0], [3.0, 0.0]])
    assert l2(network, {}, strength=0.1)["l2"].item() == pytest.approx(0.05 * 14)
    network.logits.requires_grad_(False)
    network.other = torch.nn.Parameter(torch.tensor([2.0]))
    assert l2(network, {}, strength=1.0)["l2"].item() == pytest.approx(2.0)


def test_l2_is_weight_decay_of_plain_sgd():
    left, right = image_network(random_images()), image_network(random_images())
    l2(left, {}, strength=0.3)["l2"].backward()
    torch.optim.SGD(left.parameters(), lr=0.1).step()
    for parameter in right.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.SGD(right.parameters(), lr=0.1, weight_decay=0.3).step()
    for one, other in zip(left.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(one, other)
