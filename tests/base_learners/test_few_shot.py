"""Measuring on many tasks of few examples, phases that learn on them, and runs from end to end."""

from dataclasses import replace
from functools import partial

import numpy
import pytest
import torch
from toys.episodes import KIND, NUMBER, WAYS, moved_statistics, on_images, sign_examples, sign_task
from toys.phases import CPU, phase, same, solve, stopped_at
from toys.tasks import image_format, signs

from xlearn.base_learners import few_shot
from xlearn.base_learners.few_shot import Predicted, interval, once, predicted, scores
from xlearn.base_learners.gradient_descent import GradientDescent
from xlearn.base_learners.nearest_centroid import NearestCentroid
from xlearn.batches.episodes import Validation
from xlearn.data import episodes
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.measuring import Episodes
from xlearn.networks.network import load, tensors
from xlearn.objectives.meta.query_loss import QueryLoss
from xlearn.objectives.meta.reptile import Reptile
from xlearn.runtime.errors import Interrupted
from xlearn.runtime.memory import Kept

descent = partial(GradientDescent, rate=0.2, steps=2, vectorised="never")


def drawn(seed=3, kind=KIND):
    return episodes.Episodes({"signs": sign_examples()}, kind, seed=seed)


@pytest.mark.parametrize("name", ["mlp", "conv4"])
@pytest.mark.parametrize("learner", [descent(), NearestCentroid(statistics="running")], ids=["descent", "centroid"])
def test_measuring_leaves_weights_modes_and_torchs_generator_as_they_were(name, learner):
    network = moved_statistics(on_images(name, dropout=0.3))
    network.fusion.eval()
    before, modes = tensors(network), [module.training for module in network.modules()]
    torch.manual_seed(8)
    state = torch.get_rng_state()
    found = predicted(network, learner, drawn(), 12, CPU)
    assert torch.equal(state, torch.get_rng_state()) and same(before, tensors(network))
    assert modes == [module.training for module in network.modules()]
    assert all(each.grad is None and each.requires_grad for each in network.parameters())
    assert not found.logits.requires_grad
    # The network evaluates: as one without dropout.
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert torch.equal(found.logits, predicted(network, learner, drawn(), 12, CPU).logits)


def test_an_error_in_measuring_leaves_the_modes_too():
    class Broken(NearestCentroid):
        def curve(self, *given):
            raise RuntimeError("broken")

    network = on_images("mlp").train()
    with pytest.raises(RuntimeError, match="broken"):
        predicted(network, Broken(), drawn(), 3, CPU)
    assert network.training and network.encoder["image"].training


def test_every_episode_is_measured_once_in_its_order():
    """23 episodes, ten at a time: the first ones are those of fewer."""
    network, learner = on_images("mlp"), descent(test_steps=3)
    found, fewer = (predicted(network, learner, drawn(), count, CPU) for count in (23, 4))
    assert found.logits.shape == (4, 23, 12, 3) and found.labels.shape == (23, 12)
    torch.testing.assert_close(found.logits[:, :4], fewer.logits, rtol=1e-5, atol=1e-6)
    episode = drawn().some(range(22, 23))
    alone = learner.curve(network.eval(), episode["support"], episode["query"], 1)
    torch.testing.assert_close(found.logits[:, 22:], alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.labels[22], episode["query"].labels)


def test_scores_are_of_each_task_and_their_mean_is_the_metric():
    network = on_images("mlp")
    found = predicted(network, descent(test_steps=5), drawn(), 20, CPU)
    for metric in ("accuracy", "nll", "macro_f1"):
        values = scores(found, WAYS, metric)
        assert values.shape == (20,) and len(values.unique()) > 3
    logits, labels = found.logits[-1].double(), found.labels
    assert scores(found, WAYS, "accuracy") == pytest.approx((logits.argmax(2) == labels).double().mean(1))
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    told, metrics = few_shot.summary(found, WAYS, "nll"), few_shot.metrics(found, WAYS)
    assert float(scores(found, WAYS, "nll").mean()) == pytest.approx(float(nll), rel=1e-5)
    assert metrics["nll"] == pytest.approx(float(nll), rel=1e-5) and told["curve"]["nll"][-1] == pytest.approx(metrics["nll"])
    assert (
        told["count"] == 20
        and told["curve"]["step"] == [0, 1, 2, 3, 4, 5]
        and told["interval"] == told["curve"]["interval"][-1]
    )
    assert told["curve"]["nll"][-1] < told["curve"]["nll"][0]


def test_numbers_are_scored_by_the_mean_squared_error():
    logits = torch.tensor([[[[1.0], [2.0]], [[0.0], [4.0]]]])
    found = Predicted(logits, torch.tensor([[[0.0], [2.0]], [[0.0], [1.0]]]))
    assert scores(found, NUMBER, "mse").tolist() == [0.5, 4.5] and few_shot.metrics(found, NUMBER) == {"mse": 2.5}


def test_the_interval_is_that_of_the_normal_distribution():
    values = numpy.random.default_rng(0).random(50)
    assert interval(torch.tensor(values)) == pytest.approx(1.96 * values.std(ddof=1) / 50**0.5)
    assert numpy.isnan(interval(torch.tensor([0.5])))


def test_what_was_measured_is_taken_over_for_the_same_network_episodes_and_learner(monkeypatch):
    monkeypatch.setattr(few_shot, "_held", Kept())
    network, count = on_images("mlp"), []
    monkeypatch.setattr(few_shot, "predicted", lambda *given, **options: count.append(1) or predicted(*given, **options))
    first = once(network, descent(), drawn(), 4, CPU, ["a"])
    assert once(network, descent(), drawn(), 4, CPU, ["a"]) is first and len(count) == 1
    once(network, descent(), drawn(), 4, CPU, ["b"])
    with torch.no_grad():
        next(network.parameters()).add_(1)
    once(network, descent(), drawn(), 4, CPU, ["a"])
    assert len(count) == 3


def test_the_target_is_measured_on_all_of_its_examples():
    source = TaskSource("signs", "target", signs, {}, TaskOptions(shots=2, test=0.25))
    task = prepare(source, image_format(height=8, width=8), 0)
    measuring = Episodes(partial(descent))
    whole = measuring.prepared(task).test.open()
    assert (
        len(whole) == 144
        and torch.equal(whole.rows, torch.arange(144))
        and torch.equal(torch.bincount(whole.labels), torch.full((12,), 12))
    )
    # And nothing of it is left to learn from, with labels or without.
    found = measuring.prepared(task)
    assert not len(found.train) and not len(found.val) and not len(found.unlabeled) and not len(found.training)


def test_validating_episodes_are_of_classes_or_examples_apart():
    everything = sign_examples()
    val = everything.rows % 10 >= 4
    task = sign_task(everything.subset((~val).nonzero().flatten()), everything.subset(val.nonzero().flatten()))
    for share, apart in ((0.5, "classes held out"), (0.0, "examples held out")):
        held = Validation(replace(KIND, held_out=share), {"signs": task}, 0)
        assert held.judged_by == apart
        rows = {name: {*held_of["signs"].rows.tolist()} for name, held_of in (("train", held.train), ("held", held.valid))}
        assert not rows["train"] & rows["held"] and rows["train"]
    none = Validation(replace(KIND, held_out=0.0, queries=5), {"signs": task}, 0)
    assert none.judged_by == "" and none.valid == {}


def learning(**values):
    """Meta-learning on signs, in a few steps."""
    return phase(**{
        "name": "meta", "reads": "source", "objectives": (partial(QueryLoss),), "base_learner": partial(descent),
        "kind": replace(KIND, held_out=0.5, val=6), "steps": 12, **values,
    })  # fmt: skip


def learned(folder, which, name="mlp", **options):
    """(the weights afterwards, the entry, the lines that were reported)."""
    task = sign_task(sign_examples())
    roles = {"source": {"signs": task}, "target": {"target": task}}
    network, entry, lines = solve(folder, which, roles=roles, network=on_images(name, dropout=0.2), **options)
    return tensors(network), entry, lines


REPTILE = {"objectives": (partial(Reptile, minibatch=1),), "kind": replace(KIND, queries=0, held_out=0.5, val=6)}


@pytest.mark.parametrize("options", [{}, REPTILE], ids=["maml", "reptile"])
def test_interrupted_and_resumed_it_ends_bit_identical(options, tmp_path):
    """With dropout, and looks at the validating episodes before and after."""
    which = learning(**options)
    whole, _, lines = learned(tmp_path / "whole", which)
    with stopped_at(7), pytest.raises(Interrupted, match="stopped in phase meta at step 7 of 12"):
        learned(tmp_path / "broken", which)
    found, _, rest = learned(tmp_path / "broken", which)
    assert same(whole, found) and lines
    assert [line["episodes_val_accuracy"] for line in lines][-len(rest) :] == [line["episodes_val_accuracy"] for line in rest]
    assert not same(whole, tensors(on_images("mlp", dropout=0.2)))


def test_looking_at_validating_episodes_changes_nothing(tmp_path):
    one, two = (learned(tmp_path / str(looks), learning(), evaluations=looks)[0] for looks in (1, 6))
    assert same(one, two)


def test_the_best_of_the_looks_is_kept(tmp_path):
    which = learning(keep="best_source")
    _, entry, lines = learned(tmp_path, which, evaluations=4)
    values = {line["step"]: line["episodes_val_accuracy"] for line in lines}
    assert len(values) == 4 and values[entry.report["kept_step"]] == max(values.values())


def test_batch_normalisations_end_with_the_statistics_of_what_was_learned_from(tmp_path):
    """Episodes move none; whoever evaluates by them afterwards would have those of random weights."""
    found, _, _ = learned(tmp_path, learning(), name="conv4")
    network = on_images("conv4")
    load(network, found)
    held = Validation(learning().batches.kind, {"signs": sign_task(sign_examples())}, 0)
    batch = held.train["signs"].take(torch.arange(len(held.train["signs"])))
    first = network.encoder["image"].blocks[0]
    norm = next(each for each in first.modules() if isinstance(each, torch.nn.BatchNorm2d))
    given = []
    handle = norm.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    with torch.no_grad():
        network.train().features(batch)
    handle.remove()
    torch.testing.assert_close(found[_name(network, norm)], given[0].mean([0, 2, 3]), rtol=1e-4, atol=1e-5)


def _name(network, module):
    return next(f"{name}.running_mean" for name, each in network.named_modules() if each is module)
