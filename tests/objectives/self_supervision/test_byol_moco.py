"""BYOL and MoCo: what follows them, what is compared, and the queue of negatives."""

import math
from collections import deque
from dataclasses import replace

import numpy
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional
from toys.contexts import compared_context, noisy
from toys.laws import does_not_collapse, refuses

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.parts.moving_average import Features, MovingAverage
from xlearn.objectives.self_supervision.byol import Byol, distance
from xlearn.objectives.self_supervision.moco import MoCo, Queue, contrast

BOTH = pytest.mark.parametrize("made", [Byol, MoCo])


def first(context, count=16):
    return {role: replace(each.train.take(torch.arange(count)), memo={}) for role, each in context.tasks.items()}


def shift(module, by):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by


def test_the_distance_is_the_squared_one_of_unit_vectors():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(9, 5, generator=generator), 4 * torch.randn(9, 5, generator=generator)
    units = [each.numpy() / numpy.linalg.norm(each.numpy(), axis=1, keepdims=True) for each in (one, other)]
    assert distance(one, other).item() == pytest.approx(cdist(*units, "sqeuclidean").diagonal().mean(), rel=1e-5)
    assert distance(one, 3 * one).item() == pytest.approx(0, abs=1e-6)
    assert distance(one, -one).item() == pytest.approx(4)


def test_the_decay_of_byol_grows_from_its_first_value_to_one():
    context, net = compared_context(steps=4)
    objective, found = Byol(context, decay=0.9), []
    for _ in range(5):
        found.append(objective.decay().item())
        objective.follow(net)
    middle = [1 - 0.1 * (math.cos(math.pi * share) + 1) / 2 for share in (0.25, 0.5, 0.75)]
    assert found == pytest.approx([0.9, *middle, 1.0]) and middle[1] == pytest.approx(0.95)


def test_both_target_networks_are_moving_averages():
    for made, decays in ((Byol, [0.6, 0.8]), (MoCo, [0.6, 0.6])):
        context, net = compared_context(steps=2)
        objective = made(context, decay=0.6)
        encoder = objective.target_network if made is Byol else objective.key_network
        own = objective.target_projector if made is Byol else objective.key_projector
        began = [{name: value.clone() for name, value in each.weights().items()} for each in (encoder, own)]
        assert {"network.trunk.0.running_mean", "network.trunk.0.weight", "network.encoder.image.blocks.0.0.weight"} <= {
            *began[0]
        }
        assert began[1].keys() == dict(objective.projector.named_parameters()).keys()
        away = expected = 0.0
        for decay in decays:
            shift(net, 1.0)
            shift(objective.projector, 1.0)
            net.trunk[0].running_mean += 1
            objective.follow(net)
            away += 1
            expected = decay * expected + (1 - decay) * away
        for before, after in zip(began, (encoder.weights(), own.weights()), strict=True):
            moved = {name: (after[name] - before[name]).mean().item() for name in before if "running_var" not in name}
            assert moved == pytest.approx(dict.fromkeys(moved, expected), rel=1e-4)


def test_byol_compares_each_view_with_the_target_of_the_other():
    context, net = compared_context()
    net.eval()
    given = {UNLABELED: first(context)[UNLABELED]}
    drawn = [noisy(given[UNLABELED], torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    order = iter(drawn)
    objective = Byol(replace(context, view=lambda batch: replace(next(order), memo={})))
    with torch.no_grad():
        old = [objective.projector(net.features(replace(each, memo=None))) for each in drawn]
        shift(net, 0.1)
        shift(objective.projector, 0.05)
        new = [objective.predictor(objective.projector(net.features(replace(each, memo=None)))) for each in drawn]
        found = objective(net, given)[f"byol_{UNLABELED}"].item()
    sides = [functional.mse_loss(functional.normalize(new[one]), functional.normalize(old[1 - one])) * 128 for one in (0, 1)]
    assert found == pytest.approx(sum(each.item() for each in sides), rel=1e-4)
    # Neither side with its own view, nor with what the network is by now.
    assert abs(found - distance(new[0], old[0]).item() - distance(new[1], old[1]).item()) > 1e-4


def test_moco_compares_a_view_with_the_key_of_the_other():
    context, net = compared_context()
    net.eval()
    given = {UNLABELED: first(context)[UNLABELED]}
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


@pytest.mark.parametrize(("made", "passes"), [(Byol, 2), (MoCo, 1)])
def test_targets_move_neither_statistics_nor_modes_and_have_no_gradient(made, passes):
    context, net = compared_context()
    net.train()
    net.encoder.eval()
    objective = made(context)
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in objective.named_buffers()}
    # Not the first step, so that there are negatives; what comes is noted from here.
    objective(net, first(context))
    objective.follow(net)
    statistics = net.trunk[0].num_batches_tracked.clone()
    losses = objective(net, {UNLABELED: first(context)[UNLABELED]})
    assert net.trunk[0].num_batches_tracked == statistics + passes
    assert [module.training for module in net.modules()] == modes
    losses[f"{made.__name__.lower()}_{UNLABELED}"].backward()
    assert (
        not any(value.requires_grad for value in objective.buffers())
        and before.keys() == dict(objective.named_buffers()).keys()
    )
    assert {name for name, _ in objective.named_parameters()} == {
        f"{part}.{name}"
        for part in (["projector", "predictor"] if made is Byol else ["projector"])
        for name, _ in getattr(objective, part).named_parameters()
    }


def test_a_moving_average_gives_what_the_module_gave():
    context, net = compared_context()
    net.eval()
    batch = first(context)[UNLABELED]
    average, before = MovingAverage(Features(net)), net.features(batch).detach()
    shift(net, 0.3)
    # The network's own features are in the memo: they are not taken for those of the average.
    assert torch.equal(average(Features(net), batch), before) and not torch.equal(
        net.features(replace(batch, memo=None)), before
    )
    average.follow(Features(net), torch.tensor(0.0))
    torch.testing.assert_close(average(Features(net), batch), net.features(replace(batch, memo=None)))
    assert not [*average.parameters()]


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
        given = first(context)
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
    objective(net, first(context))  # nobody follows
    objective(net, {UNLABELED: first(context)[UNLABELED]})
    objective.follow(net)
    objective.follow(net)
    assert (int(objective.queue("source").added), int(objective.queue(UNLABELED).added)) == (0, 16)


@BOTH
def test_features_come_to_tell_examples_and_not_views(made):
    _, (before, after) = does_not_collapse(made)
    assert after > 2 * before


@pytest.mark.parametrize(
    ("made", "option", "value"),
    [
        *((made, option, value) for made in (Byol, MoCo) for option, value in [("decay", 1), ("decay", -0.5), ("width", 0)]),
        *((MoCo, option, 0) for option in ("temperature", "queue", "hidden")),
    ],
)
def test_options_out_of_range_are_refused(made, option, value):
    refuses(made, option, value)
