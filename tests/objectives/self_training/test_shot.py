"""SHOT: centroids, the bank of features, and the objective."""

from dataclasses import replace

import numpy
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional
from toys.contexts import adaptation_context, batch_of

from xlearn.data.unlabeled import UNLABELED
from xlearn.networks.network import Network
from xlearn.objectives.self_training.entropy_min import information_loss
from xlearn.objectives.self_training.feature_bank import FeatureBank
from xlearn.objectives.self_training.pseudo_labels import by_centroids, missing
from xlearn.objectives.self_training.shot import Shot
from xlearn.runtime.errors import Problem


def by_hand(features, chances, rounds):
    """As one would write it down, example by example."""
    points = numpy.concatenate([features, numpy.ones((len(features), 1))], axis=1)
    points = points / numpy.linalg.norm(points, axis=1, keepdims=True)
    weights = chances
    labels = None
    for _ in range(rounds + 1):
        kept = [k for k in range(chances.shape[1]) if weights[:, k].sum() > 0]
        centroids = [sum(w * x for w, x in zip(weights[:, k], points, strict=True)) / weights[:, k].sum() for k in kept]
        labels = numpy.array(kept)[cdist(points, numpy.stack(centroids), "cosine").argmin(1)]
        weights = numpy.eye(chances.shape[1])[labels]
    return labels


@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_centroids_are_those_of_a_loop(seed, rounds):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(60, 5, generator=generator).relu()
    chances = (torch.randn(60, 4, generator=generator) * 2).softmax(1)
    found = by_centroids(features, chances, rounds, members=0)
    expected = by_hand(features.double().numpy(), chances.double().numpy(), rounds)
    assert found.tolist() == expected.tolist()


def test_rounds_matter():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=generator)
    chances = torch.randn(60, 4, generator=generator).softmax(1)
    assert not torch.equal(by_centroids(features, chances, 0), by_centroids(features, chances, 1))


def test_the_constant_counts():
    # Without it the two lie in the same direction, and no cosine tells them apart.
    features = torch.tensor([[1.0], [1.2], [20.0], [22.0]])
    chances = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    assert by_centroids(features, chances).tolist() == [0, 0, 1, 1]


def test_centroids_put_right_what_predictions_got_wrong():
    # Two far clusters; one example of the first is predicted as the second.
    features = torch.cat([torch.tensor([[5.0, 0.0]]).repeat(10, 1), torch.tensor([[0.0, 5.0]]).repeat(10, 1)])
    chances = torch.tensor([[0.9, 0.1]]).repeat(20, 1)
    chances[10:] = torch.tensor([0.1, 0.9])
    chances[3] = torch.tensor([0.2, 0.8])
    assert by_centroids(features, chances).tolist() == [0] * 10 + [1] * 10


def test_classes_without_members_are_missing_and_nothing_else_breaks():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(20, 3, generator=generator)
    chances = torch.rand(20, 4, generator=generator)
    chances[:, 2] = 0
    chances[0] = torch.tensor([0.1, 0.2, 0.1, 0.9])
    chances[1:, 3] = 0.01
    chances /= chances.sum(1, keepdim=True)
    labels = by_centroids(features, chances, 2)
    assert missing(labels, 4)[2] and set(labels.tolist()) <= {0, 1, 3} and 3 in labels
    # One example alone is predicted as the last class, where two are asked for.
    assert missing(by_centroids(features, chances, 1, members=2), 4).tolist() == [False, False, True, True]
    # Nobody is predicted as class 1, but it has a soft centroid.
    chances = torch.tensor([[0.9, 0.1], [0.51, 0.49]])
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert by_centroids(points, chances, members=0).tolist() == [0, 1]
    assert by_centroids(points, chances, members=1).tolist() == [0, 0]


def dropping():
    context, net = adaptation_context(steps=10)
    parts = dict(net.head.items())
    trunk = torch.nn.Sequential(torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5))
    trunk.width = 8
    net = Network(dict(net.encoder), net.fusion, parts, trunk)
    return replace(context, network=net), net


def test_the_bank_is_what_an_evaluation_gives_and_leaves_no_trace():
    context, net = dropping()
    net.train()
    net.encoder.eval()
    net.keeps_features = True
    examples = context.tasks[UNLABELED].train
    bank = FeatureBank(examples, net.width, every=4)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    modes, before = [module.training for module in net.modules()], {k: v.clone() for k, v in net.state_dict().items()}
    bank.refresh(net)
    assert torch.equal(torch.rand(3), expected)  # no number was drawn
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.keeps_features and not net.seen
    net.eval()
    with torch.no_grad():
        whole = examples.take(torch.arange(len(examples)))
        assert torch.allclose(bank.features, net.features(whole), atol=1e-6)
        assert torch.allclose(bank.probabilities, net(whole).softmax(1), atol=1e-6)


def test_the_bank_is_due_every_so_often_and_once_in_a_step():
    context, net = adaptation_context()
    bank = FeatureBank(context.tasks[UNLABELED].train, net.width, every=3)
    seen = []
    for step in range(8):
        if bank.due():
            seen.append(step)
            bank.refresh(net)
            assert not bank.due()
        bank.follow()
    assert seen == [0, 3, 6]
    other = FeatureBank(context.tasks[UNLABELED].train, net.width, every=3)
    assert other.due()
    other.load_state_dict(bank.state_dict())  # after eight steps
    assert not other.due() and torch.equal(other.features, bank.features) and other.features.abs().sum() > 0
    other.follow()
    assert other.due()


def test_shot_is_its_formula():
    context, net = adaptation_context(steps=10)
    objective = Shot(context, beta=0.7, refreshes=5)
    given = batch_of(context)
    net.train()
    losses = objective(net, given)
    logits = net(given[UNLABELED])
    assert losses["shot_information"].item() == pytest.approx(information_loss(logits, 1).item())
    whole = context.tasks[UNLABELED].train.take(torch.arange(48))
    labels = by_centroids(net.features(whole), net(whole).softmax(1))
    assert torch.equal(objective.labels, labels)
    expected = 0.7 * functional.cross_entropy(logits, labels[given[UNLABELED].taught["position"]])
    assert losses["shot_pseudo_labels"].item() == pytest.approx(expected.item())
    assert losses.keys() == {"shot_information", "shot_pseudo_labels", "source"}
    sourceless = objective(net, {UNLABELED: given[UNLABELED]})
    assert sourceless.keys() == {"shot_information", "shot_pseudo_labels"}


def test_labels_are_those_of_the_batchs_positions():
    context, net = adaptation_context()
    objective = Shot(context, beta=1.0)
    net.eval()  # no refresh: the labels stay as they are put
    objective.labels.copy_(torch.arange(48) % 3)
    index = torch.tensor([5, 40, 7])
    batch = replace(context.tasks[UNLABELED].train.take(index), memo={})
    expected = functional.cross_entropy(net(batch), index % 3)
    assert objective(net, {UNLABELED: batch})["shot_pseudo_labels"].item() == pytest.approx(expected.item())


def test_labelled_examples_of_the_target_count():
    context, net = adaptation_context(shots=2)
    given = batch_of(context)
    losses = Shot(context)(net, {role: given[role] for role in ("target", UNLABELED)})
    assert losses["target"].item() == pytest.approx(
        functional.cross_entropy(net(given["target"]), given["target"].labels).item()
    )


def test_labels_are_computed_anew_so_often():
    context, net = adaptation_context(steps=10)
    objective = Shot(context, refreshes=5)
    net.train()
    changes = []
    for _ in range(10):
        before = objective.bank.features.clone()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.01
        objective(net, batch_of(context))
        changes.append(not torch.equal(before, objective.bank.features))
        objective.follow(net)
    assert changes == [True, False] * 5


def test_a_class_that_is_missing_is_named():
    context, net = adaptation_context()
    [head] = net.head.values()
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, -1e4, 0.0]))
    objective = Shot(context)
    objective(net, batch_of(context))
    assert objective.missing[1] and not objective.missing[[0, 2]].all()
    assert 1 not in objective.labels
    with pytest.raises(Problem, match="no unlabelled example has the pseudo-label .*c1"):
        Shot(context, require_all=True)(net, batch_of(context))


def test_the_head_needs_no_gradient():
    context, net = adaptation_context()
    net.head.requires_grad_(False)
    sum(Shot(context)(net, {UNLABELED: batch_of(context)[UNLABELED]}).values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.encoder.parameters())


@pytest.mark.parametrize(
    "values, words",
    [
        ({"beta": -1.0}, "shot: beta=-1.0"), ({"refreshes": 0}, "shot: refreshes=0"), ({"rounds": -1}, "shot: rounds=-1"),
        ({"members": -1}, "shot: members=-1"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(values, words):
    context, _ = adaptation_context()
    with pytest.raises(Problem, match=words):
        Shot(context, **values)
    with pytest.raises(Problem, match="reads none"):
        Shot(replace(context, tasks={}))
