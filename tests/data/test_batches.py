"""Batches of sequences: every example once, in an order that follows from seed and step, with little padding."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from toys.phases import CPU, target_batches
from toys.tasks import random_images

from xlearn.data.batches import Batches
from xlearn.data.columns import Ragged
from xlearn.data.task import Examples
from xlearn.label_spaces.classes import Classes
from xlearn.networks.evaluate import features, logits, tokens
from xlearn.networks.network import Network, Tokens
from xlearn.runtime.hashing import derive


def sequences(count=640, longest=60, classes=2):
    generator = torch.Generator().manual_seed(1)
    sizes = torch.randint(1, longest + 1, (count,), generator=generator)
    column = Ragged.of([torch.full((int(size),), float(row)) for row, size in enumerate(sizes)])
    labels = torch.arange(count) % classes
    return Examples({"audio": column}, labels, torch.arange(count), Classes("toy", tuple(f"c{n}" for n in range(classes))))


def rows(batch):
    return batch.inputs["audio"].values[:, 0].long().tolist()


@pytest.mark.parametrize(("count", "size"), [(640, 16), (100, 16), (37, 16), (31, 16), (5, 16), (3000, 10)])
def test_an_epoch_has_every_example_once_in_batches_of_one_size(count, size):
    batches = Batches({"target": sequences(count)}, batch_size=size, seed=3)
    steps = batches.steps_per_epoch
    assert steps == max(1, count // min(size, count))
    for epoch in range(3):
        read = [batches(epoch * steps + step)["target"] for step in range(steps)]
        assert {len(each) for each in read} == {min(size, count)}
        seen = [row for each in read for row in rows(each)]
        assert len(set(seen)) == len(seen) == steps * min(size, count)


def test_a_batch_follows_from_seed_and_step_alone():
    given = sequences()
    straight = [rows(Batches({"target": given}, batch_size=16, seed=3)(step)["target"]) for step in range(90)]
    other = Batches({"target": given}, batch_size=16, seed=3)
    assert all(rows(other(step)["target"]) == straight[step] for step in (77, 3, 41, 40, 89))
    assert rows(Batches({"target": given}, batch_size=16, seed=4)(0)["target"]) != straight[0]
    assert sorted(straight[0]) not in [sorted(each) for each in straight[40:80]]


def padding(batches, steps):
    masks = [batches(step)["target"].inputs["audio"].mask for step in range(steps)]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


@pytest.mark.parametrize(("count", "most"), [(640, 0.2), (3000, 0.1)])
def test_little_is_padding(count, most):
    given = sequences(count)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0)).split(16)
    masks = [given.take(index).inputs["audio"].mask for index in shuffled if len(index) == 16]
    at_random = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert at_random > 0.4
    assert padding(Batches({"target": given}, batch_size=16, seed=3), count // 16) < most


def test_the_company_changes_from_epoch_to_epoch():
    given = sequences(320)
    batches = Batches({"target": given}, batch_size=16, seed=3)
    met = [set() for _ in range(320)]
    for step in range(20 * 20):
        for row in (together := rows(batches(step)["target"])):
            met[row].update(together)
    # Sorted as a whole, an example of the middle would meet some 30 others for ever.
    assert sum(len(each) for each in met) / 320 > 80


def test_balanced_draws_classes_equally_often():
    given = sequences()
    given = replace(given, labels=(torch.arange(len(given)) < 64).long())
    batches = Batches({"target": given}, batch_size=16, seed=3, balanced=True)
    labels = torch.cat([batches(step)["target"].labels for step in range(200)])
    assert 0.45 < labels.double().mean() < 0.55
    assert padding(batches, 40) < 0.25


def test_images_keep_the_order_they_had():
    given = random_images(50)
    found = [target_batches(given)(step)["target"].labels for step in range(6)]
    for epoch in range(2):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(derive(3, "target", "order", epoch)))
        for position in range(3):
            assert torch.equal(found[3 * epoch + position], given.labels[order[16 * position : 16 * position + 16]])


class Count(torch.nn.Module):
    """Tokens that tell the example: every second value of it; `single` gives their mean."""

    def __init__(self, single):
        super().__init__()
        self.single, self.weight = single, torch.nn.Parameter(torch.ones(1))
        self.width = 1

    def forward(self, given):
        values = given.values.unsqueeze(-1) * self.weight
        if self.single:
            return Tokens(values[:, :1])
        return Tokens(values[:, ::2], given.mask[:, ::2])


class First(torch.nn.Module):
    width = 1

    def forward(self, found):
        return found["audio"].values[:, 0]


@pytest.mark.parametrize("single", [True, False])
def test_what_is_evaluated_stands_in_the_order_of_the_examples(single):
    given = sequences(700)
    head = torch.nn.Linear(1, 2, bias=False)
    network = Network({"audio": Count(single)}, First(), {given.space.key: head})
    assert features(network, given, CPU).flatten().tolist() == list(range(700))
    torch.testing.assert_close(logits(network, given, CPU), torch.arange(700.0)[:, None] @ head.weight.T)
    found = tokens(network, given, "audio", CPU)
    if single:
        assert found.flatten().tolist() == list(range(700))
    else:
        assert found.lengths.tolist() == [(int(size) + 1) // 2 for size in given.inputs["audio"].lengths]
        assert torch.equal(found.values.flatten(), torch.arange(700.0).repeat_interleave(found.lengths))
    again = replace(given, inputs={"audio": found}, encoded=frozenset({"audio"}))
    torch.testing.assert_close(features(network, again, CPU), features(network, given, CPU))


def made_of_one(rows_of):
    """Several tasks made of the same 40 examples, each with labels for some rows."""
    whole = replace(sequences(40, 5), data="one")
    found = {}
    for role, index in rows_of.items():
        part = whole.subset(torch.tensor(index))
        space = Classes(role, whole.space.classes)
        found[role] = replace(part, task=role, space=space, labels=part.labels if role == "a" else 1 - part.labels)
    return found


def test_tasks_of_the_same_examples_read_them_together():
    tasks = made_of_one({"a": [*range(40)], "b": [*range(40)]}) | {"c": sequences(30)}
    batches = Batches(tasks, batch_size=8, seed=3, common=True)
    seen = []
    for step in range(batches.steps_per_epoch):
        given = batches(step)
        assert given["a"].inputs is given["b"].inputs and given["a"].memo is given["b"].memo is not None
        assert given["a"].rows is None and torch.equal(given["a"].labels, 1 - given["b"].labels)
        assert given["c"].memo == {} and rows(given["c"]) != rows(given["a"])
        assert [each.task for each in given.values()] == ["a", "b", "target"]
        assert torch.equal(given["a"].labels, torch.tensor(rows(given["a"])) % 2)
        seen += rows(given["a"])
    assert sorted(seen) == [*range(40)]
    apart = Batches(tasks, batch_size=8, seed=3, common=False)(0)
    assert rows(apart["a"]) != rows(apart["b"]) and apart["a"].memo is not apart["b"].memo


def test_tasks_with_missing_labels_read_the_union_and_learn_from_what_they_know():
    tasks = made_of_one({"a": [*range(0, 40, 2)], "b": [*range(30, 40)]})
    batches = Batches(tasks, batch_size=4, seed=3, common=True)
    assert batches.steps_per_epoch == 25 // 4
    known = {"a": set(), "b": set()}
    for step in range(2 * batches.steps_per_epoch):
        given = batches(step)
        for role, batch in given.items():
            every = torch.tensor(rows(batch))
            labelled = every if batch.rows is None else every[batch.rows]
            assert len(batch) == len(labelled) > 0
            assert torch.equal(batch.labels, labelled % 2 if role == "a" else 1 - labelled % 2)
            known[role] |= set(labelled.tolist())
    assert known["a"] <= set(range(0, 40, 2)) and known["b"] <= set(range(30, 40))
    # A task without a label in a batch is left out of it.
    assert any("b" not in batches(step) for step in range(batches.steps_per_epoch))


def test_a_network_encodes_common_inputs_once_and_answers_for_what_is_labelled():
    tasks = made_of_one({"a": [*range(0, 40, 2)], "b": [*range(40)]})
    given = next(each for step in range(9) if "a" in (each := Batches(tasks, batch_size=8, seed=3, common=True)(step)))
    calls = []

    class Sums(torch.nn.Module):
        width = 1

        def forward(self, sound):
            calls.append(len(sound))
            return Tokens(sound.values.sum(1)[:, None, None])

    class First(torch.nn.Module):
        width = 1

        def forward(self, tokens):
            return tokens["audio"].values[:, 0]

    heads = {each.space.key: torch.nn.Linear(1, 2) for each in tasks.values()}
    network = Network({"audio": Sums()}, First(), heads)
    assert network(given["b"]).shape == (8, 2) and network(given["a"]).shape == (len(given["a"]), 2)
    assert calls == [8]
    every = network(replace(given["a"], rows=None, memo=None))
    assert torch.equal(network(given["a"]), every if given["a"].rows is None else every[given["a"].rows])


@pytest.mark.parametrize(
    ("tasks", "shares"), [("proportional", [0.8, 0.2]), ("equal", [0.5, 0.5]), ("temperature", [2 / 3, 1 / 3])]
)
def test_a_task_is_drawn_by_its_size(tasks, shares):
    given = {"a": sequences(640), "b": sequences(160)}
    batches = Batches(given, batch_size=16, seed=3, tasks=tasks, temperature=2.0)
    assert batches.steps_per_epoch == 50
    drawn = [[*batches(step)] for step in range(2000)]
    assert all(len(each) == 1 for each in drawn)
    found = [sum(each == [role] for each in drawn) / 2000 for role in given]
    assert found == pytest.approx(shares, abs=0.04)
    # Each goes on where it stopped, and from any step on it is the same.
    other = Batches(given, batch_size=16, seed=3, tasks=tasks, temperature=2.0)
    assert all(rows(other(step)[drawn[step][0]]) == rows(batches(step)[drawn[step][0]]) for step in (1234, 5, 77))
    alone = Batches({"a": given["a"]}, batch_size=16, seed=3)
    steps = [step for step in range(100) if drawn[step] == ["a"]]
    assert [rows(batches(step)["a"]) for step in steps] == [rows(alone(step)["a"]) for step in range(len(steps))]


@settings(max_examples=20, deadline=None)
@given(count=some.integers(1, 40), size=some.integers(1, 16), first=some.integers(0, 60))
def test_batches_follow_from_the_step_alone_and_an_epoch_repeats_nothing(count, size, first):
    given_examples = random_images(count)
    whole, late = target_batches(given_examples, size), target_batches(given_examples, size)
    images = [whole(step)["target"].inputs["image"] for step in range(first + 1)]
    assert torch.equal(images[first], late(first)["target"].inputs["image"])
    per_epoch = count // min(size, count)
    assert whole.steps_per_epoch == per_epoch
    epoch = torch.cat([whole(step)["target"].inputs["image"] for step in range(per_epoch)]).flatten(1)
    assert len(epoch.unique(dim=0)) == len(epoch)


def test_balanced_batches_draw_every_class_equally_often():
    given_examples = random_images(300)
    labels = torch.where(torch.arange(300) < 270, 0, torch.arange(300) % 2 + 1)
    skewed = Examples(given_examples.inputs, labels, given_examples.rows, given_examples.space)
    batches = Batches({"a": skewed}, batch_size=100, seed=0, balanced=True)
    drawn = torch.cat([batches(step)["a"].labels for step in range(30)])
    shares = torch.bincount(drawn) / len(drawn)
    assert all(abs(share - 1 / 3) < 0.04 for share in shares.tolist())
