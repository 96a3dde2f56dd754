"""Gradient descent for each task: tasks together and apart, statistics of normalisations, the way that is taken, refusals."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from toys.episodes import KIND, begun, by_task, close, descent, episode, moved_statistics, on_images, on_text, scattered

from xlearn.base_learners.paths import Path
from xlearn.base_learners.statistics import norms
from xlearn.data.columns import Sequences
from xlearn.data.episodes import Kind
from xlearn.objectives.meta.query_loss import QueryLoss
from xlearn.objectives.meta.reptile import Reptile
from xlearn.runtime.errors import Problem


@pytest.mark.parametrize("statistics", ["batch", "support", "running"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "conv4"])
def test_all_tasks_at_once_and_one_after_the_other_are_the_same(name, statistics):
    support, query, tasks = which = episode()
    network = moved_statistics(on_images(name))
    learners = [descent(statistics=statistics, vectorised=way) for way in ("never", "always")]
    one, other = (scattered(each, network, which) for each in learners)
    assert [each.log() for each in learners] == [{"inner_loop": "sequential"}, {"inner_loop": "vectorised"}]
    # What a bias adds, the normalisation behind it takes away: its gradient is rounding alone.
    close(one, other, rtol=1e-3, atol=2e-5)
    assert max(float(each.abs().max()) for each in one.values()) > 1e-2
    torch.testing.assert_close(*(each(network, support, query, tasks) for each in learners), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(*(each.curve(network, support, query, tasks) for each in learners), rtol=1e-3, atol=1e-4)


def test_tasks_do_not_touch_each_other():
    support, query, tasks = episode()
    network, learner = on_images("conv4").eval(), descent()
    whole = learner(network, support, query, tasks)
    for task, (x, _, q, _) in enumerate(by_task(support, query, tasks)):
        torch.testing.assert_close(whole[task], learner(network, x, q, 1)[0], rtol=1e-4, atol=1e-5)


def test_a_minibatch_of_reptile_has_so_many_of_each_class():
    """All of them, in whatever order, are the whole support; fewer are others in every step."""
    kind = Kind(ways=3, shots=6, queries=0, tasks=2)
    support, _, tasks = episode(kind)
    network = on_images("mlp")
    learner, read = descent(0.1, 3), []
    whole = learner.weights(network, support, tasks)
    close(learner.weights(network, support, tasks, 6), whole, rtol=1e-4, atol=1e-6)
    hook = network.encoder["image"].register_forward_hook(lambda _module, given, _made: read.append(given[0]))
    torch.manual_seed(0)
    learner.weights(network, support, tasks, 2)
    hook.remove()
    # Three steps of two tasks, one after the other; a task has 18 examples, six of each class.
    images = support.inputs["image"].unflatten(0, (2, 18))
    places = [
        [(images[turn % 2] == image).flatten(1).all(1).nonzero().item() for image in each] for turn, each in enumerate(read)
    ]
    assert [[place // 6 for place in each] for each in places] == [[0, 0, 1, 1, 2, 2]] * 6
    assert all(len({*each}) == 6 for each in places) and places[0] != places[2] != places[4]


@pytest.mark.parametrize("statistics", ["batch", "support", "running"])
@pytest.mark.parametrize("trains", ["all", "head"])
def test_neither_training_nor_measuring_moves_a_buffer(statistics, trains):
    which = episode()
    network = moved_statistics(on_images("conv4"))
    before = {name: each.clone() for name, each in network.named_buffers()}
    for vectorised in ("never", "always"):
        learner = descent(statistics=statistics, trains=trains, vectorised=vectorised)
        scattered(learner, network.train(), which)
        learner.curve(network.eval(), *which)
        if trains == "all":
            learner.weights(network.train(), which[0], which[2])
    assert norms(network) and all(torch.equal(each, before[name]) for name, each in network.named_buffers())
    # The modules are their own again.
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize("trains", ["all", "head"])
@pytest.mark.parametrize(("statistics", "depends"), [("batch", True), ("support", False), ("running", False)])
def test_by_which_statistics_a_query_depends_on_the_others(statistics, depends, trains):
    support, query, tasks = episode()
    network = moved_statistics(on_images("conv4")).eval()
    images = query.inputs["image"].clone().unflatten(0, (tasks, -1))
    images[:, 1:] = 255 - images[:, 1:]
    other = replace(query, inputs={"image": images.flatten(0, 1)})
    for vectorised in ("never", "always"):
        learner = descent(statistics=statistics, trains=trains, vectorised=vectorised)
        one, two = (learner.curve(network, support, each, tasks)[-1] for each in (query, other))
        assert not torch.allclose(one[:, 1:], two[:, 1:], atol=1e-3)
        assert torch.allclose(one[:, 0], two[:, 0], atol=1e-5) is not depends


def test_batch_statistics_are_those_of_training_and_running_ones_of_evaluation():
    """Of a network that nothing moves: what torch's own modes give, batch by batch."""
    support, query, tasks = episode()
    network = moved_statistics(on_images("conv4"))
    for statistics, training in (("batch", True), ("running", False)):
        [found] = descent(steps=0, statistics=statistics).curve(network, support, query, tasks)
        plain = copy.deepcopy(network).train(training)
        with torch.no_grad():
            expected = torch.stack([plain(q) for _, _, q, _ in by_task(support, query, tasks)])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trains", ["all", "head"])
def test_statistics_of_the_support_are_those_of_the_batch_where_the_queries_are_the_support(trains):
    support, _, tasks = episode()
    network = on_images("conv4").eval()
    one, two = (
        descent(statistics=each, trains=trains).curve(network, support, support, tasks) for each in ("batch", "support")
    )
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_the_curve_has_every_moment_and_ends_where_training_would():
    support, query, tasks = episode()
    network = on_images("mlp")
    curve = descent(steps=1, test_steps=4).curve(network, support, query, tasks)
    assert curve.shape == (5, 3, 12, 3) and not curve.requires_grad
    for steps in (0, 2, 4):
        torch.testing.assert_close(curve[steps], descent(steps=steps)(network, support, query, tasks).detach())


def test_what_cannot_be_vectorised_goes_one_after_the_other_and_says_why():
    support, query, tasks = episode()
    tokens = torch.randint(2, 20, (len(support) + len(query), 5), generator=torch.Generator().manual_seed(0))

    def text(batch, values):
        return replace(batch, inputs={"text": Sequences(values, torch.ones(values.shape, dtype=torch.bool))})

    which = text(support, tokens[: len(support)]), text(query, tokens[len(support) :]), tasks
    network, found = on_text(), []
    for way in ("never", "auto", "always"):
        learner = descent(vectorised=way)
        found.append(scattered(learner, network, which))
        told = learner.log()
        assert told["inner_loop"] == "sequential" and ("not_vectorised" in told) is (way == "always")
        assert way != "always" or told["not_vectorised"].strip()
    close(found[0], found[1], rtol=0, atol=0)
    close(found[0], found[2], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "tasks", "vectorised"),
    [("mlp", 3, False), ("mlp", 4, True), ("cnn", 4, False), ("cnn", 3, False), ("small cnn", 4, True)],
)
def test_the_way_follows_from_the_network_and_the_sizes(kind, tasks, vectorised):
    support, query, _ = episode()
    network = {"mlp": nn.Linear(500, 500), "cnn": nn.Conv2d(64, 64, 3), "small cnn": nn.Conv2d(1, 2, 3)}[kind]
    tried = []
    path = Path("auto")
    for _ in range(2):
        assert path.choose(tried.append, network, tasks, (), support, query) is vectorised
    assert tried == [True] * vectorised  # whether it can be vectorised is tried once


def test_no_file_decides_the_way(tmp_path, monkeypatch):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path))
    descent(vectorised="auto")(on_images("mlp"), *episode())
    assert not [*tmp_path.rglob("*.*")]


def test_the_trial_is_a_whole_step_with_its_backward_pass():
    network, which, reached = on_images("mlp"), episode(), []
    network.encoder["image"].blocks[0][0].weight.register_hook(reached.append)
    descent(vectorised="always")(network, *which)
    assert reached


def test_the_trial_draws_nothing():
    """With dropout: the first step after the trial is that of a network without trial."""
    which = episode()
    network = on_images("mlp", dropout=0.4).train()
    learner = descent(vectorised="always")
    torch.manual_seed(0)
    first = learner(network, *which)
    torch.manual_seed(0)
    assert torch.equal(first, learner(network, *which))


def test_arguments_out_of_range_are_told():
    for words, told in (
        ({"rate": 0.0}, "rate=0.0: give more"),
        ({"steps": -1}, "steps=-1"),
        ({"test_steps": -1}, "test_steps=-1"),
    ):
        with pytest.raises(Problem, match=f"base_learner.{told}"):
            descent(**words)
    network = on_images("mlp")
    for learner, kind, told in ((None, KIND, "base_learner"), (descent(), replace(KIND, queries=0), "queries")):
        with pytest.raises(Problem, match=f"query_loss needs .*{told}"):
            QueryLoss(begun(network, learner, kind))
    for minibatch in (0, 3):
        with pytest.raises(Problem, match=f"minibatch={minibatch}: give 1 to 2"):
            Reptile(begun(network, descent()), minibatch=minibatch)
    with pytest.raises(Problem, match="reptile needs a gradient-descent base learner"):
        Reptile(begun(network, None))


def test_the_query_loss_is_the_mean_over_tasks_and_says_which_way_it_goes():
    support, query, tasks = episode()
    network, learner = on_images("mlp"), descent()
    objective = QueryLoss(begun(network, learner))
    [loss] = objective(network, {"support": support, "query": query}).values()
    logits = learner(network, support, query, tasks).detach()
    assert float(loss.detach()) == pytest.approx(float(functional.cross_entropy(logits.flatten(0, 1), query.labels)), rel=1e-5)
    assert json.dumps(objective.log()) == '{"inner_loop": "sequential"}'
