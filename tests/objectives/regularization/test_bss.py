"""BSS: smallest singular values by hand and as torch has them, and what they are of."""

from functools import partial

import pytest
import torch
from toys.networks import image_network
from toys.phases import phase
from toys.tasks import blobs_task, random_images

from xlearn.data.task import Batch
from xlearn.objectives import PhaseContext
from xlearn.objectives.regularization.bss import Bss, smallest
from xlearn.objectives.supervised.cross_entropy import CrossEntropy
from xlearn.phases import feasible
from xlearn.runtime.errors import Problem


def test_smallest_singular_values_by_hand():
    # Singular values 3, 2, 1.
    features = torch.tensor([[0.0, 3, 0], [2, 0, 0], [0, 0, 1], [0, 0, 0]])
    for k, expected in ((1, 1.0), (2, 5.0), (3, 14.0)):
        assert float(smallest(features, k)) == pytest.approx(expected)
        assert float(smallest(features.T, k)) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (7, 7)])
@pytest.mark.parametrize("k", [1, 3])
def test_smallest_singular_values_and_their_gradient_are_those_of_svdvals(shape, k):
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    ours, theirs = smallest(features, k), torch.linalg.svdvals(features)[-k:].square().sum()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(each, features)[0] for each in (ours, theirs)))


def test_shrinking_is_finite_where_features_are_equal():
    features = torch.zeros(5, 4, requires_grad=True)
    smallest(features, 2).backward()
    assert torch.equal(features.grad, torch.zeros(5, 4))
    features = torch.ones(5, 4, requires_grad=True)
    smallest(features, 2).backward()
    assert bool(features.grad.isfinite().all())


def test_bss_reads_the_features_of_the_heads():
    given = random_images()
    network = image_network(given)
    context = PhaseContext(network, frozenset(), {})
    [(name, loss)] = Bss(context, eta=0.5, k=2)(network, {"target": given.take(torch.arange(6))}).items()
    features = network.features(given.take(torch.arange(6)))
    assert name == "target_bss"
    torch.testing.assert_close(loss, 0.5 * torch.linalg.svdvals(features)[-2:].square().sum())
    loss.backward()
    assert all(each.grad is not None for each in network.encoder.parameters())
    ready = Batch({}, given.labels[:3], given.space, torch.eye(3, 8))
    assert float(Bss(context)(network, {"target": ready})["target_bss"]) == pytest.approx(0.001)
    for options, told in (
        ({"eta": -1.0}, "eta=-1.0"),
        ({"k": 0}, "k=0"),
        ({"k": 8}, "k=8: the features have at most 8 singular"),
    ):
        with pytest.raises(Problem, match=told):
            Bss(context, **options)


def test_batches_must_have_more_examples_than_are_shrunk():
    network, roles = image_network(blobs_task().train), {"source": {}, "target": {"target": blobs_task(shots=1)}}
    shrinking = phase(objectives=(partial(CrossEntropy), partial(Bss, k=3)))
    with pytest.raises(Problem, match=r"Bss needs batches of 4 examples.*have 3 \(3 labelled"):
        feasible.check(shrinking, network, roles)
    feasible.check(phase(objectives=(partial(CrossEntropy), partial(Bss, k=2))), network, roles)


def test_features_that_are_no_numbers_are_for_the_loss_to_tell():
    assert not smallest(torch.full((4, 3), torch.nan), 1).isfinite()
