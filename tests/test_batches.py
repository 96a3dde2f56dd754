"""Batches of sequences: every example once, in an order that follows from seed and step, with little padding."""

from dataclasses import replace

import pytest
import torch
import toys

from xlearn.batches import Batches
from xlearn.columns import Ragged
from xlearn.evaluate import features, logits, tokens
from xlearn.hashing import derive
from xlearn.network import Network, Tokens
from xlearn.task import Examples, LabelSpace


def sequences(count=640, longest=60, classes=2):
    generator = torch.Generator().manual_seed(1)
    sizes = torch.randint(1, longest + 1, (count,), generator=generator)
    column = Ragged.of([torch.full((int(size),), float(row)) for row, size in enumerate(sizes)])
    labels = torch.arange(count) % classes
    return Examples({"audio": column}, labels, torch.arange(count), LabelSpace("toy", tuple(f"c{n}" for n in range(classes))))


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
    given = toys.examples(50)
    found = [toys.batches(given)(step)["target"].labels for step in range(6)]
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
    def forward(self, found):
        return found["audio"].values[:, 0]


@pytest.mark.parametrize("single", [True, False])
def test_what_is_evaluated_stands_in_the_order_of_the_examples(single):
    given = sequences(700)
    head = torch.nn.Linear(1, 2, bias=False)
    network = Network({"audio": Count(single)}, First(), {given.space.key: head})
    assert features(network, given, toys.CPU).flatten().tolist() == list(range(700))
    torch.testing.assert_close(logits(network, given, toys.CPU), torch.arange(700.0)[:, None] @ head.weight.T)
    found = tokens(network, given, "audio", toys.CPU)
    if single:
        assert found.flatten().tolist() == list(range(700))
    else:
        assert found.lengths.tolist() == [(int(size) + 1) // 2 for size in given.inputs["audio"].lengths]
        assert torch.equal(found.values.flatten(), torch.arange(700.0).repeat_interleave(found.lengths))
    again = replace(given, inputs={"audio": found}, encoded=frozenset({"audio"}))
    torch.testing.assert_close(features(network, again, toys.CPU), features(network, given, toys.CPU))
