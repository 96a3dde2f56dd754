"""Retrieval across modalities: recall of known rankings."""

from dataclasses import replace

import pytest
import torch
from toys.phases import CPU

from xlearn.data.columns import Ragged
from xlearn.data.task import Examples
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network, Tokens
from xlearn.results.retrieval import recall, retrieval


def test_a_permutation_is_found_or_not():
    assert recall(torch.eye(20)) == {"recall@1": 1.0, "recall@5": 1.0, "recall@10": 1.0, "chance@10": 0.5, "items": 20}
    assert recall(torch.eye(20).roll(1, 0))["recall@1"] == 0.0
    # the partner of query i has rank i + 1
    ranks = -torch.arange(20.0)
    similarity = torch.stack([torch.cat([torch.ones(i), torch.zeros(20 - i)]).roll(i + 1) * 2 for i in range(20)])
    similarity[torch.arange(20), torch.arange(20)] = 1.0
    assert ranks[0] == 0 and recall(similarity)["recall@5"] == pytest.approx(5 / 20)
    assert recall(similarity)["recall@10"] == pytest.approx(10 / 20)


@pytest.mark.parametrize("count", [3, 10, 100])
def test_a_constant_embedding_is_at_chance(count):
    found = recall(torch.ones(count, count))
    for k in (1, 5, 10):
        assert found[f"recall@{k}"] == pytest.approx(min(1, k / count))
    assert found["chance@10"] == found["recall@10"]


def test_ties_are_broken_fairly():
    # the partner and one other are equal, and best: half of the time the other comes first
    similarity = torch.eye(4) + torch.eye(4).roll(1, 0)
    assert recall(similarity)["recall@1"] == pytest.approx(0.5)
    assert recall(similarity)["recall@5"] == 1


class AsIs(torch.nn.Module):
    def forward(self, given):
        return Tokens(given.unsqueeze(1))


class Whatever(torch.nn.Module):
    width = 1

    def forward(self, tokens):
        [only] = tokens.values()
        return only.values[:, 0]


def test_each_pair_in_both_directions_over_examples_that_have_both():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(30, 8, generator=generator)
    inputs = {"a": vectors, "b": 3 * vectors, "c": vectors.roll(1, 0)}
    given = Examples(inputs, torch.zeros(30, dtype=torch.int64), torch.arange(30), Classes("toy", ("x", "y")))
    network = Network({name: AsIs() for name in "abc"}, Whatever(), {})
    found = retrieval(network, given, CPU)
    assert sorted(found) == ["a->b", "a->c", "b->a", "b->c", "c->a", "c->b"]
    assert found["a->b"]["recall@1"] == found["b->a"]["recall@1"] == 1 and found["a->c"]["recall@1"] == 0
    some = replace(given, present={"a": torch.arange(30) < 12, "b": torch.arange(30) >= 5})
    assert retrieval(network, some, CPU)["a->b"]["items"] == 7
    assert "a->b" not in retrieval(network, replace(given, present={"a": torch.zeros(30).bool()}), CPU)
    assert not isinstance(given.inputs["a"], Ragged)
