"""Base learners that do not descend: against numpy and scikit-learn, and what of a step they read."""

import copy
from dataclasses import replace

import numpy
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from toys.episodes import KIND, WAYS, begun, episode, line_episode, moved_statistics, on_columns, on_images, on_text

from xlearn.base_learners.attention import Attention
from xlearn.base_learners.linear_probe import LinearProbe
from xlearn.base_learners.nearest_centroid import NearestCentroid
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.objectives.meta.query_loss import QueryLoss
from xlearn.runtime.errors import Problem

PLAIN = [NearestCentroid(), NearestCentroid(distance="cosine", scale=5.0), Attention(), Attention(scale=1.0)]


def features(network, batch, tasks):
    """numpy `[tasks, n, width]`."""
    with torch.no_grad():
        return network.features(batch).unflatten(0, (tasks, -1)).double().numpy()


@torch.no_grad()
def curve(learner, *which):
    return learner.curve(*which)


def unit(given):
    return given / numpy.linalg.norm(given, axis=-1, keepdims=True)


def read():
    """(network without a head, support, query, tasks, features of the one, features of the other, labels of the support)."""
    network, (support, query, tasks) = on_images("mlp", head=False), episode()
    one, other = features(network, support, tasks), features(network, query, tasks)
    return network, support, query, tasks, one, other, support.labels.reshape(tasks, -1).numpy()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_the_nearest_centroid_by_hand(distance):
    network, support, query, tasks, one, other, labels = read()
    found = NearestCentroid(distance=distance, scale=7.0)(network, support, query, tasks).detach().numpy()
    assert found.shape == (3, 12, 3)
    for task in range(tasks):
        for place in range(3):
            centre = one[task][labels[task] == place].mean(0)
            if distance == "euclidean":
                expected = -((other[task] - centre) ** 2).sum(1)
            else:
                expected = 7 * unit(other[task]) @ unit(centre)
            assert found[task, :, place] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_attention_by_hand(scale):
    network, support, query, tasks, one, other, labels = read()
    found = Attention(scale=scale)(network, support, query, tasks).detach().exp().numpy()
    weights = softmax(scale * unit(other) @ unit(one).transpose(0, 2, 1), axis=2)
    expected = numpy.stack([[weights[t][:, labels[t] == place].sum(1) for place in range(3)] for t in range(3)])
    assert found == pytest.approx(expected.transpose(0, 2, 1), rel=1e-3, abs=1e-6)
    assert found.sum(2) == pytest.approx(1, rel=1e-4)


def test_with_one_example_of_each_class_attention_is_the_nearest_centroid_by_cosine():
    which = episode(replace(KIND, shots=1))
    network = on_images("mlp", head=False)
    one, other = (
        each(network, *which).softmax(2) for each in (Attention(scale=5.0), NearestCentroid(distance="cosine", scale=5.0))
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_linear_probe_is_scikit_learns(normalised):
    network, support, query, tasks, one, other, labels = read()
    [found] = curve(LinearProbe(strength=2.0, normalised=normalised), network, support, query, tasks).numpy()
    for task in range(tasks):
        x, q = (unit(each[task]) if normalised else each[task] for each in (one, other))
        # `strength` is of features whose mean square is 1.
        size = numpy.sqrt((x**2).mean())
        model = LogisticRegression(C=2.0, max_iter=5000, tol=1e-8).fit(x / size, labels[task])
        # Unpenalised, the intercepts are found up to the end of the search.
        assert softmax(found[task], axis=1) == pytest.approx(model.predict_proba(q / size), abs=2e-3)


@pytest.mark.parametrize("learner", [*PLAIN, LinearProbe()], ids=lambda each: type(each).__name__)
def test_tasks_and_the_order_of_the_support_make_no_difference(learner):
    network, (support, query, tasks) = on_images("cnn", head=False), episode()
    network.eval()
    whole = curve(learner, network, support, query, tasks)[-1]
    assert whole.shape == (3, 12, 3)
    order = torch.tensor([5, 3, 0, 4, 1, 2])
    for task in range(tasks):
        rows = task * 6 + order
        one = replace(support, inputs={"image": support.inputs["image"][rows]}, labels=support.labels[rows])
        others = slice(task * 12, task * 12 + 12)
        two = replace(query, inputs={"image": query.inputs["image"][others]}, labels=query.labels[others])
        alone = curve(learner, network, one, two, 1)[-1, 0]
        torch.testing.assert_close(alone, whole[task], rtol=1e-2, atol=1e-2 if isinstance(learner, LinearProbe) else 1e-4)


@pytest.mark.parametrize("name", ["cnn", "conv4"])
@pytest.mark.parametrize("kind", [NearestCentroid, Attention, LinearProbe])
@pytest.mark.parametrize(("statistics", "depends"), [("batch", True), ("support", False), ("running", False)])
def test_by_which_statistics_a_query_depends_on_the_others(kind, statistics, depends, name):
    network, (support, query, tasks) = moved_statistics(on_images(name)), episode()
    before = {key: each.clone() for key, each in network.named_buffers()}
    images = query.inputs["image"].clone().unflatten(0, (tasks, -1))
    images[:, 1:] = 255 - images[:, 1:]
    other = replace(query, inputs={"image": images.flatten(0, 1)})
    learner = kind(statistics=statistics)
    for training in (True, False):
        network.train(training)
        one, two = (curve(learner, network, support, each, tasks)[0] for each in (query, other))
        assert torch.allclose(one[:, 0], two[:, 0], atol=1e-5) is not depends
        assert not torch.allclose(one[:, 1:], two[:, 1:], atol=1e-3)
    assert all(torch.equal(each, before[key]) for key, each in network.named_buffers())


@pytest.mark.parametrize(("statistics", "training"), [("batch", True), ("running", False)])
def test_statistics_are_those_of_torchs_modes(statistics, training):
    """Task by task, and of the support and the queries apart."""
    network, (support, query, tasks) = moved_statistics(on_images("conv4")), episode()
    found = NearestCentroid(statistics=statistics)(network, support, query, tasks).detach()
    plain = copy.deepcopy(network).train(training)
    for task in range(tasks):
        with torch.no_grad():
            one, two = (
                plain.encoder["image"](batch.inputs["image"].unflatten(0, (tasks, -1))[task]).values[:, 0]
                for batch in (support, query)
            )
        centres = one.unflatten(0, (3, -1)).mean(1)
        torch.testing.assert_close(found[task], -(two[:, None] - centres).square().sum(2), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("learner", PLAIN, ids=lambda each: f"{type(each).__name__}")
def test_the_encoder_learns_through_it(learner):
    """Some steps on the loss of the queries lower it on other tasks."""
    network = on_images("mlp", head=False)
    objective = QueryLoss(begun(network, learner))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)

    def loss(number):
        support, query, _ = episode(number=number)
        return objective(network, {"support": support, "query": query})["query"]

    before = float(torch.stack([loss(number) for number in range(100, 105)]).mean().detach())
    for number in range(15):
        optimizer.zero_grad()
        loss(number).backward()
        optimizer.step()
    assert float(torch.stack([loss(number) for number in range(100, 105)]).mean().detach()) < 0.8 * before


def test_sequences_without_a_rule_for_vmap_pass_all_the_same():
    support, query, tasks = episode()
    network = on_text().eval()

    def text(batch):
        values = torch.randint(2, 20, (len(batch), 4), generator=torch.Generator().manual_seed(len(batch)))
        mask = torch.arange(4) < 1 + torch.arange(len(batch))[:, None] % 4
        return replace(batch, inputs={"text": Sequences(values * mask, mask)})

    one, two = text(support), text(query)
    found = NearestCentroid()(network, one, two, tasks).detach()
    first, second = (torch.tensor(features(network, each, tasks)) for each in (one, two))
    centres = first.unflatten(1, (3, -1)).mean(2)
    torch.testing.assert_close(found.double(), -(second[:, :, None] - centres[:, None]).square().sum(3), rtol=1e-3, atol=1e-5)


def test_they_add_nothing_to_the_network_and_read_no_head():
    network = on_images("mlp")
    for learner in (*PLAIN, LinearProbe()):
        assert learner.parts(None) is None and not learner.log() and not learner.trains("head.x.weight")
        assert not learner.needs.trains_head
        before = {name: each.clone() for name, each in network.state_dict().items()}
        learner.curve(network, *episode())
        assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


def test_what_cannot_be_is_told():
    network, which = on_images("mlp"), episode()
    with pytest.raises(Problem, match=r"base_learner\.scale=0: give more than 0"):
        Attention(scale=0)
    with pytest.raises(Problem, match=r"base_learner\.strength=-1: give more than 0"):
        LinearProbe(strength=-1)
    with pytest.raises(Problem, match="linear_probe is not differentiable"):
        LinearProbe()(network, *which)
    with pytest.raises(Problem, match="linear_probe is defined for classes, but the labels here are numbers"):
        LinearProbe().curve(on_columns(), *line_episode())


@pytest.mark.parametrize("learner", [*PLAIN, LinearProbe()], ids=lambda each: type(each).__name__)
def test_nothing_of_a_curve_asks_for_gradients(learner):
    assert not learner.curve(on_images("mlp"), *episode()).requires_grad


@pytest.mark.parametrize("learner", [NearestCentroid(), Attention()], ids=["centroid", "attention"])
def test_numbers_are_refused_in_a_sentence(learner):
    with pytest.raises(Problem, match="is defined for classes, but the labels here are numbers"):
        learner.curve(on_columns(), *line_episode())


def test_attention_learns_from_a_query_that_is_far_off():
    """All of the weight on a wrong class: the more reason to move."""
    network = on_columns(columns=2)
    space = WAYS
    turned = torch.nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))

    def batch(values, labels):
        return Batch({"tabular": torch.tensor(values) @ turned}, torch.tensor(labels), space)

    # The query stands beside class 1, and is of class 0, which is right across.
    support = batch([[-1.0, 0.1], [1.0, 0.0], [0.0, 1.0]], [0, 1, 2])
    logits = Attention(scale=40.0)(network, support, batch([[1.0, 0.05]], [0]), 1)
    logits[0, 0, 0].backward()
    assert float(logits[0, 0, 0].detach()) < -12 and float(turned.grad.abs().max()) > 1e-2
