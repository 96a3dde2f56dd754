"""Each modality by itself beside all: with late fusion, independent classifiers."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from toys.contexts import bare_context
from toys.networks import pair_network
from toys.tasks import PAIRED, pair_batch

from xlearn.fusion.late import Late
from xlearn.label_spaces.classes import Classes
from xlearn.objectives.supervised.each_modality import EachModality
from xlearn.runtime.errors import Problem


def test_each_modality_with_late_fusion_is_the_average_of_independent_classifiers():
    net, given = pair_network(Late), pair_batch(tabular=torch.tensor([1, 1, 1, 0, 1, 1]).bool())
    losses = EachModality(bare_context(net), weight=0.5)(net, {"target": given})
    head, tokens = net.head[PAIRED.key], net.tokens(given)
    images = tokens["image"].values[:, 0] @ head.weight[:, :8].T + head.bias
    numbers = tokens["tabular"].values[:, 0] @ head.weight[:, 8:].T + head.bias
    there = torch.tensor([1.0, 1, 1, 0, 1, 1])[:, None]
    whole = torch.where(there > 0, (images + numbers) / 2, images)
    labels = given.labels
    torch.testing.assert_close(losses["target"], functional.cross_entropy(whole, labels))
    torch.testing.assert_close(losses["target_image"], 0.5 * functional.cross_entropy(images, labels))
    rows = there[:, 0] > 0
    torch.testing.assert_close(losses["target_tabular"], 0.5 * functional.cross_entropy(numbers[rows], labels[rows]))
    assert EachModality(bare_context(net))(net, {"target": given.only("image")}).keys() == {"target"}
    nobody = EachModality(bare_context(net))(net, {"target": pair_batch(tabular=torch.zeros(6).bool())})
    assert nobody["target_tabular"].detach() == 0
    with pytest.raises(Problem, match="weight=-1"):
        EachModality(bare_context(net), weight=-1.0)


class First(Classes):
    """Predicts by the first outputs of a head that serves several tasks."""

    def outputs(self, head: nn.Module, features: torch.Tensor) -> torch.Tensor:
        return head(features)[:, : self.width]


def test_it_takes_the_outputs_of_the_label_space():
    net, space = pair_network(), First("toy", ("a", "b"))
    net.head[space.key] = nn.Linear(net.width, 5)
    given = replace(pair_batch(), space=space)
    losses = EachModality(bare_context(net))(net, {"target": given})
    torch.testing.assert_close(losses["target"], functional.cross_entropy(net(given), given.labels))
    for name in ("image", "tabular"):
        torch.testing.assert_close(losses[f"target_{name}"], functional.cross_entropy(net(given.only(name)), given.labels))
