"""The target's unlabelled examples: who sees them, that nobody sees their labels, and where they come from."""

from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from toys.networks import image_network
from toys.phases import CPU, adam_update, adapting, phase, solve_adapting
from toys.tasks import blobs, fruits, parts, shifted_tasks

from xlearn.data.batches import Batches
from xlearn.data.options import TaskOptions
from xlearn.data.splits import split
from xlearn.data.tasks import OPEN, TEST, VAL
from xlearn.data.unlabeled import HIDDEN, UNLABELED, hidden, revealed
from xlearn.objectives import Objective
from xlearn.phases.fit import fit
from xlearn.phases.phase import reading
from xlearn.runtime.needs import Needs
from xlearn.trainable import Rate


@pytest.fixture(params=[0, 5], ids="shots={}".format)
def target(request):
    return shifted_tasks(request.param)["target"]["target"]


def both(roles):
    """A batch's worth of examples of the source and of the target without labels."""
    task = hidden(roles["target"]["target"])
    return {"blobs": roles["source"]["blobs"].train, UNLABELED: task.train}, task


def test_hidden_examples_have_no_labels_in_any_form(target):
    found = hidden(target)
    index = torch.tensor([7, 0, 3])
    forms = (
        found.train.labels,
        found.train.take(index).labels,
        found.train.subset(index).labels,
        found.only("image").train.labels,
        found.train.with_features(torch.zeros(len(found.train), 2)).take(index).labels,
    )
    for labels in forms:
        assert len(labels) and (labels == HIDDEN).all()
    assert len(found.val) == 0
    assert found.fingerprint != target.fingerprint
    # What it was made of still has them: only the copy is blank.
    assert (target.unlabeled.labels >= 0).all()


def test_nothing_that_goes_with_hidden_examples_has_a_label(target):
    seen = hidden(target)
    whole = seen.train.whole
    assert whole is not None and len(whole) > len(seen.train)
    for examples in (seen.train, seen.val, seen.unlabeled, seen.test.examples, whole):
        assert bool((examples.labels == HIDDEN).all())
    # The task itself keeps them, for whoever measures.
    assert bool((target.test.examples.labels >= 0).all()) and bool((target.unlabeled.labels >= 0).all())


def test_a_batch_tells_which_unlabelled_examples_it_holds(target):
    found = hidden(target).train
    assert torch.equal(found.rows, target.unlabeled.rows)
    index = torch.tensor([7, 0, 3])
    batch = found.take(index)
    assert torch.equal(batch.taught["position"], index)
    assert torch.equal(batch.inputs["image"], target.unlabeled.inputs["image"][index])


def test_using_a_hidden_label_fails_and_does_not_cheat():
    examples, task = both(shifted_tasks())
    network = image_network(examples["blobs"])
    batch = examples[UNLABELED].take(torch.arange(8))
    with pytest.raises((IndexError, RuntimeError)):
        functional.cross_entropy(network(batch), batch.labels)
    with pytest.raises((IndexError, RuntimeError)):
        network(batch).gather(1, batch.labels[:, None])
    with pytest.raises((IndexError, RuntimeError)):
        functional.one_hot(batch.labels, 3)
    with pytest.raises((IndexError, RuntimeError)):
        task.class_counts()


def noting(needs_none):
    """An objective that notes the roles it is given in every step."""

    class Noting(Objective):
        needs = Needs(unlabeled=needs_none)
        seen: ClassVar[list] = []

        def __init__(self, start):
            pass

        def __call__(self, network, batches):
            self.seen.append(set(batches))
            return {f"loss {needs_none}": sum((network(batch).square().mean() for batch in batches.values()), torch.zeros(()))}

    return Noting


def test_the_loop_gives_unlabelled_examples_only_to_who_needs_no_labels():
    examples, _ = both(shifted_tasks())
    network = image_network(examples["blobs"])
    blind, other = noting(needs_none=True), noting(needs_none=False)
    update = adam_update([other(None), blind(None)], {name: Rate() for name, _ in network.named_parameters()})
    batches = Batches(examples, batch_size=8, seed=0)
    assert len(list(fit(network, [update], batches, steps=2, seed=0, machine=CPU))) == 2
    assert blind.seen == [{"blobs", UNLABELED}] * 2
    assert other.seen == [{"blobs"}] * 2


@pytest.mark.parametrize(
    ("reads", "shots", "roles"),
    [
        ("everything", 0, {"blobs", UNLABELED}),
        ("everything", 5, {"blobs", "target", UNLABELED}),
        ("unlabeled", 0, {UNLABELED}),
        ("unlabeled", 5, {"target", UNLABELED}),
        ("both", 5, {"blobs", "target"}),
        ("target", 5, {"target"}),
        ("source", 0, {"blobs"}),
    ],
)
def test_what_a_phase_reads(reads, shots, roles, tmp_path):
    blind, other = noting(needs_none=True), noting(needs_none=False)
    which = phase(reads=reads, steps=2, objectives=(partial(blind), partial(other)), common=False)
    tasks = shifted_tasks(shots)
    assert set(reading(which, tasks)) == roles
    solve_adapting(tmp_path, which, tasks)
    assert len(blind.seen) >= 2 and all(each == roles for each in blind.seen)
    assert len(other.seen) >= 2 and all(each == roles - {UNLABELED} for each in other.seen)


def test_the_unlabelled_rows_are_those_that_no_label_was_given_of(target):
    read = reading(adapting(), {"source": {}, "target": {"target": target}})
    unlabelled = set(read[UNLABELED].train.rows.tolist())
    labelled = set(read["target"].train.rows.tolist()) if "target" in read else set()
    every = {*target.train.rows.tolist(), *target.unlabeled.rows.tolist()}
    assert labelled | unlabelled == every and not labelled & unlabelled
    assert not unlabelled & {*target.val.rows.tolist(), *target.test.examples.rows.tolist()}


@given(st.lists(st.integers(3, 40), min_size=2, max_size=4), st.integers(0, 2**31), st.floats(0, 0.8), st.integers(0, 2))
def test_without_labels_all_but_validation_and_test_is_unlabelled(counts, seed, val, kind):
    marks = torch.tensor([[OPEN, OPEN, VAL, TEST][row % 4] for row in range(sum(counts))], dtype=torch.int8)
    options = {"val": val, "folds": 3 if kind == 2 else None}
    data = fruits(counts, marks if kind == 1 else None)
    whole = split(data, TaskOptions(**options), seed, "target")
    none = split(data, TaskOptions(shots=0, **options), seed, "target")
    assert torch.equal(none.test, whole.test) and torch.equal(none.val, whole.val)
    assert len(none.train) == 0
    assert torch.equal(none.unlabeled, whole.train)
    assert sorted(row for rows in parts(none).values() for row in rows) == list(range(sum(counts)))


def test_revealed_has_the_labels_of_all_training_examples(target):
    found = revealed(target)
    truth = blobs().labels  # of the data: squares stand where the class says
    assert torch.equal(found.train.labels, truth[found.train.rows])
    assert found.train.rows.tolist() == sorted([*target.train.rows.tolist(), *target.unlabeled.rows.tolist()])
    assert torch.equal(found.train.inputs["image"], blobs(shift=50.0).inputs["image"][found.train.rows])
    assert len(found.unlabeled) == 0
    assert found.val is target.val and found.test is target.test
    assert len({found.fingerprint, target.fingerprint, hidden(target).fingerprint}) == 3


def test_balanced_sampling_draws_classes_where_there_are_labels_and_else_shuffles():
    examples, _ = both(shifted_tasks(source={"imbalance": 0.1}))
    counts = torch.bincount(examples["blobs"].labels)
    assert counts[0] > 5 * counts[2]
    batches = Batches(examples, batch_size=20, seed=0, balanced=True)
    drawn = [batches(step) for step in range(60)]
    share = torch.bincount(torch.cat([each["blobs"].labels for each in drawn])) / (60 * 20)
    assert (share - 1 / 3).abs().max() < 0.06
    positions = torch.cat([each[UNLABELED].taught["position"] for each in drawn])
    epochs = len(examples[UNLABELED]) // 20
    for epoch in positions.split(epochs * 20):
        assert len(epoch.unique()) == len(epoch)
    assert (torch.cat([each[UNLABELED].labels for each in drawn]) == HIDDEN).all()


def test_hidden_examples_are_not_pooled_with_labelled_ones_of_the_same_data():
    target = shifted_tasks(5)["target"]["target"]
    labelled, unlabelled = target.train, hidden(target).train
    found = Batches({"target": labelled, UNLABELED: unlabelled}, batch_size=10, seed=0, common=True)(0)
    assert found.keys() == {"target", UNLABELED}
    assert len(found["target"]) == len(found[UNLABELED]) == 10
    assert all(each.rows is None for each in found.values())
    assert found["target"].memo is not found[UNLABELED].memo
    position = found[UNLABELED].taught["position"]
    assert torch.equal(found[UNLABELED].inputs["image"], unlabelled.inputs["image"][position])
    # With their labels, they would be: one batch of which each role knows a part.
    known = Batches({"target": labelled, "other": target.unlabeled}, batch_size=10, seed=0, common=True)
    one = next(each for each in map(known, range(9)) if len(each) == 2)
    assert one["target"].memo is one["other"].memo and len(one["target"]) + len(one["other"]) == 10


def test_no_label_of_an_unlabelled_example_changes_what_a_phase_leaves(tmp_path):
    tasks = shifted_tasks(5)
    target = tasks["target"]["target"]
    wrong = replace(target.unlabeled, labels=(target.unlabeled.labels + 1) % 3)
    other = {**tasks, "target": {"target": replace(target, unlabeled=wrong)}}
    one, two = (solve_adapting(tmp_path / name, adapting(steps=9), each) for name, each in (("a", tasks), ("b", other)))
    assert one[1].digest == two[1].digest and one[2] == two[2]
    # A label that is read does.
    wrong = replace(target.train, labels=(target.train.labels + 1) % 3)
    other = {**tasks, "target": {"target": replace(target, train=wrong)}}
    assert solve_adapting(tmp_path / "c", adapting(steps=9), other)[1].digest != one[1].digest
