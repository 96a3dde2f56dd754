"""A moving average gives what the module gave."""

from dataclasses import replace

import torch
from toys.contexts import batch_of, compared_context
from toys.networks import shift

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.parts.moving_average import Features, MovingAverage


def test_a_moving_average_gives_what_the_module_gave():
    context, net = compared_context()
    net.eval()
    batch = batch_of(context)[UNLABELED]
    average, before = MovingAverage(Features(net)), net.features(batch).detach()
    shift(net, 0.3)
    # The network's own features are in the memo: they are not taken for those of the average.
    assert torch.equal(average(Features(net), batch), before) and not torch.equal(
        net.features(replace(batch, memo=None)), before
    )
    average.follow(Features(net), torch.tensor(0.0))
    torch.testing.assert_close(average(Features(net), batch), net.features(replace(batch, memo=None)))
    assert not [*average.parameters()]
