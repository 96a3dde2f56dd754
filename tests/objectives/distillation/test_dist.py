"""DIST: correlations, and the loss of torchdistill."""

import torch
from torchdistill.losses.mid_level import DISTLoss
from toys.networks import pair_network
from toys.tasks import draw
from toys.teachers import taught_context, two_sides

from xlearn.objectives.distillation.dist import Dist, correlation


def test_dist_is_that_of_torchdistill():
    student, teacher = draw(8, 5), draw(8, 5, seed=1)
    for beta, gamma, tau in ((1.0, 1.0, 1.0), (2.0, 0.5, 4.0)):
        expected = DISTLoss("s", "output", "t", "output", beta=beta, gamma=gamma, tau=tau)(*two_sides(student, teacher))
        net = pair_network()
        objective = Dist(taught_context(net, net), temperature=tau, beta=beta, gamma=gamma)
        found = objective._term(student, teacher[:, None], torch.ones(8, 1).bool(), torch.zeros(8))
        torch.testing.assert_close(found, expected)


def test_correlation_is_pearson_s():
    one, other = draw(4, 6), draw(4, 6, seed=1)
    expected = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(one, other, strict=True)])
    torch.testing.assert_close(correlation(one, other), expected)
    torch.testing.assert_close(correlation(one, 3 * one + 2), torch.ones(4))
    assert correlation(one, torch.ones(4, 6)).tolist() == [0, 0, 0, 0]
