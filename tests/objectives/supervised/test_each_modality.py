"""Each modality by itself beside all: with late fusion, independent classifiers."""

import pytest
import torch
from torch.nn import functional
from toys.contexts import bare_context
from toys.networks import pair_network
from toys.tasks import PAIRED, pair_batch

from xlearn.fusion.late import Late
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
