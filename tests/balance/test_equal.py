"""No balance: the gradient of the sum."""

import torch
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.balance import Backward
from xlearn.balance._equal import equal


def test_the_balance_is_the_gradient_of_the_sum():
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    equal({"a": x.sum(), "b": (x**2).sum()}, Backward(image_network(random_images()), [x]))
    assert x.grad.tolist() == [3.0, 5.0]
