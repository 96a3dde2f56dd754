"""L2-SP: what was copied is pulled to its start, what is fresh to zero."""

import pytest
import torch
from toys.networks import image_network
from toys.tasks import random_images

from xlearn.objectives import PhaseContext
from xlearn.objectives.regularization.l2_sp import L2SP


def test_l2_sp_pulls_copied_to_the_start_and_fresh_to_zero():
    network = image_network(random_images())
    copied = frozenset({"encoder.image.blocks.0.0.weight"})
    penalty = L2SP(PhaseContext(network, copied, {}), alpha=0.4, beta=0.2)
    fresh = sum(float(p.detach().square().sum()) for n, p in network.named_parameters() if n not in copied)
    assert penalty(network, {})["l2_sp"].item() == pytest.approx(0.1 * fresh, rel=1e-5)
    with torch.no_grad():
        network.get_parameter("encoder.image.blocks.0.0.weight").add_(0.5)
    moved = network.get_parameter("encoder.image.blocks.0.0.weight").numel() * 0.25
    loss = penalty(network, {})["l2_sp"]
    assert loss.item() == pytest.approx(0.2 * moved + 0.1 * fresh, rel=1e-5)
    loss.backward()
    gradient = network.get_parameter("encoder.image.blocks.0.0.weight").grad
    torch.testing.assert_close(gradient, torch.full_like(gradient, 0.4 * 0.5))
