"""MoCo: what is compared, and the queue of negatives."""

import math
from collections import deque
from dataclasses import replace

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import batch_of, compared_context, noisy
from toys.laws import does_not_collapse, refuses
from toys.networks import shift

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.moco import MoCo, Queue, contrast


def test_moco_compares_a_view_with_the_key_of_the_other():
    context, net = compared_context()
    net.eval()
    given = {UNLABELED: batch_of(context)[UNLABELED]}
    drawn = [noisy(given[UNLABELED], torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    order = iter(drawn)
    objective = MoCo(replace(context, view=lambda batch: replace(next(order), memo={})), temperature=0.5)
    stored = functional.normalize(torch.randn(5, 64, generator=torch.Generator().manual_seed(3)), dim=1)
    objective.queue(UNLABELED).add(stored)
    with torch.no_grad():
        keys = functional.normalize(objective.projector(net.features(replace(drawn[1], memo=None))), dim=1)
        shift(net, 0.1)
        queries = functional.normalize(objective.projector(net.features(replace(drawn[0], memo=None))), dim=1)
        found = objective(net, given)[f"moco_{UNLABELED}"].item()
    scores = numpy.exp(numpy.concatenate([(queries * keys).sum(1, keepdim=True), queries @ stored.T], axis=1) / 0.5)
    assert found == pytest.approx(-numpy.log(scores[:, 0] / scores.sum(1)).mean(), rel=1e-5)


@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [7], [20], [2, 9, 1, 4, 30, 5], [7, 7, 1]])
def test_the_queue_is_a_deque(sizes):
    queue, expected, count = Queue(7, 1), deque(maxlen=7), 0
    for size in sizes:
        values = torch.arange(count, count + size, dtype=torch.float32)
        count += size
        queue.add(values.unsqueeze(1))
        expected.extend(values.tolist())
        assert sorted(queue.keys[queue.filled].flatten().tolist()) == [*expected]
        assert int(queue.added) == count and int(queue.filled.sum()) == min(7, count)


def test_contrast_by_hand():
    unit, queue = torch.eye(2), Queue(6, 2)
    assert contrast(unit, unit, queue, 0.5).item() == 0  # no negatives
    queue.add(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    e = math.exp
    losses = [-math.log(e(2) / (e(2) + e(2) + 2)), -math.log(e(2) / (2 * e(2) + 1 + e(-2)))]
    assert contrast(unit, unit, queue, 0.5).item() == pytest.approx(sum(losses) / 2)


def test_keys_of_a_batch_become_negatives_of_the_next_and_never_their_own():
    context, net = compared_context(count=48)
    objective = MoCo(context, queue=1000)
    with torch.no_grad():
        # All queries and keys are one point: the loss counts the negatives.
        objective.projector[-1].weight.zero_()
        objective.key_projector.weights()["2.weight"].zero_()
    assert len(objective.queue("source").keys) == 24  # half the examples
    counts = []
    for step in range(4):
        given = batch_of(context)
        if step == 2:
            given.pop("source")
        found = objective(net, given)
        counts.append({name: round(math.exp(loss.item())) - 1 for name, loss in found.items()})
        assert all(loss.item() == pytest.approx(math.log(1 + counts[-1][name]), abs=1e-5) for name, loss in found.items())
        objective.follow(net)
    assert [each[f"moco_{UNLABELED}"] for each in counts] == [0, 16, 24, 24]
    assert [each.get("moco_source") for each in counts] == [0, 16, None, 24]


def test_a_look_between_two_steps_leaves_no_keys():
    context, net = compared_context()
    objective = MoCo(context)
    objective(net, batch_of(context))  # nobody follows
    objective(net, {UNLABELED: batch_of(context)[UNLABELED]})
    objective.follow(net)
    objective.follow(net)
    assert (int(objective.queue("source").added), int(objective.queue(UNLABELED).added)) == (0, 16)


def test_features_come_to_tell_examples_and_not_views():
    _, (before, after) = does_not_collapse(MoCo)
    assert after > 2 * before


@pytest.mark.parametrize(
    ("option", "value"), [("decay", 1), ("decay", -0.5), ("width", 0), ("temperature", 0), ("queue", 0), ("hidden", 0)]
)
def test_options_out_of_range_are_refused(option, value):
    refuses(MoCo, option, value)
