"""Mixup between environments."""

from dataclasses import replace

import numpy
import pytest
import torch
from torch.nn import functional
from toys.contexts import batch_of, environment_context, losses_of

from xlearn.data.columns import Sequences
from xlearn.networks.network import Network, Tokens
from xlearn.objectives.generalization.domain_mixup import DomainMixup, mixed_loss
from xlearn.runtime.errors import Problem


def test_mixed_images_by_hand():
    context, net = environment_context()
    one, other = [*batch_of(context, 12).values()][:2]
    other = replace(other, inputs={"image": other.inputs["image"][:9]}, labels=other.labels[:9])
    mixed = 0.3 * one.inputs["image"][:9].float() + 0.7 * other.inputs["image"].float()
    logits = net(replace(one, inputs={"image": mixed}, memo={}))
    expected = 0.3 * functional.cross_entropy(logits, one.labels[:9]) + 0.7 * functional.cross_entropy(logits, other.labels)
    assert mixed_loss(net, one, other, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)
    alone = functional.cross_entropy(net(one)[:9], one.labels[:9])
    assert mixed_loss(net, one, other, 1.0).item() == pytest.approx(alone.item(), rel=1e-5)


class Mean(torch.nn.Module):
    """The mean embedding of token numbers."""

    width = 8

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(9, 8)

    def forward(self, text):
        return Tokens(self.embedding(text.values.long()), text.mask)


def test_features_are_mixed_where_inputs_are_sequences():
    context, plain = environment_context()
    torch.manual_seed(0)
    net = Network({"text": Mean()}, plain.fusion, dict(plain.head))
    net.fusion = type(plain.fusion)({"text": 8})
    one, other = (
        replace(batch, inputs={"text": Sequences(torch.randint(9, (12, length)), torch.ones(12, length, dtype=torch.bool))})
        for batch, length in zip([*batch_of(context, 12).values()][:2], (4, 6), strict=True)
    )
    [head] = net.head.values()
    logits = head(0.3 * net.features(one) + 0.7 * net.features(other))
    expected = 0.3 * functional.cross_entropy(logits, one.labels) + 0.7 * functional.cross_entropy(logits, other.labels)
    assert mixed_loss(net, one, other, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)
    # The labels are of some of the examples only.
    rows = torch.tensor([1, 5, 6])
    some = replace(one, rows=rows, labels=one.labels[rows])
    logits = head(0.3 * net.features(one)[rows] + 0.7 * net.features(other)[:3])
    expected = 0.3 * functional.cross_entropy(logits, some.labels) + 0.7 * functional.cross_entropy(logits, other.labels[:3])
    assert mixed_loss(net, some, other, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_environment_is_mixed_with_two_others(monkeypatch):
    context, net = environment_context(4)
    given, pairs = batch_of(context, 12), []
    names = {id(batch): role for role, batch in given.items()}

    def noted(network, one, other, share):
        pairs.append((names[id(one)], names[id(other)], share))
        return torch.tensor(float(len(pairs)))

    monkeypatch.setattr("xlearn.objectives.generalization.domain_mixup.mixed_loss", noted)
    objective = DomainMixup(context, alpha=0.2)
    torch.manual_seed(0)
    assert objective(net, given)["domain_mixup"].item() == 2.5  # the mean over pairs
    assert sorted(one for one, _, _ in pairs) == sorted(other for _, other, _ in pairs) == sorted(given)
    assert all(one != other for one, other, _ in pairs)
    for _ in range(200):
        objective(net, given)
    shares = numpy.array([share for _, _, share in pairs])
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    assert shares.mean() == pytest.approx(0.5, abs=0.05) and shares.var() == pytest.approx(1 / 5.6, abs=0.02)
    assert len({pair[:2] for pair in pairs}) == 12


def test_nothing_is_drawn_while_the_network_evaluates():
    context, net = environment_context()
    state = torch.get_rng_state()
    given = batch_of(context, 12)
    losses = DomainMixup(context)(net.eval(), given)
    assert torch.equal(torch.get_rng_state(), state)
    assert [loss.item() for loss in losses.values()] == pytest.approx(losses_of(net, given)) and losses.keys() == given.keys()


def test_environments_of_other_classes_are_not_mixed():
    context, _ = environment_context()
    other = replace(context.tasks["e1"], labels=replace(context.tasks["e1"].labels, classes=("x", "y", "z")))
    with pytest.raises(Problem, match="e1 x, y, z"):
        DomainMixup(replace(context, tasks={**context.tasks, "e1": other}))
