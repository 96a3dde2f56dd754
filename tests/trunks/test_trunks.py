"""The trunk: dense layers between fusion and heads."""

import pytest
import torch
from torch.nn import functional

from xlearn.runtime.errors import Problem
from xlearn.trunks.mlp import MlpTrunk
from xlearn.trunks.none import NoTrunk


def test_the_layers_are_dense_with_a_rectifier_after_each():
    torch.manual_seed(0)
    trunk, given = MlpTrunk(3, widths=[4, 2]).eval(), torch.randn(5, 3)
    first, second = (layer[0] for layer in trunk.layers)
    by_hand = functional.relu(functional.relu(given @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    assert torch.allclose(trunk(given), by_hand) and trunk.width == 2
    assert sum(each.numel() for each in trunk.parameters()) == (3 + 1) * 4 + (4 + 1) * 2


def test_no_trunk_changes_nothing():
    trunk, given = NoTrunk(3), torch.randn(5, 3)
    assert trunk(given) is given and trunk.width == 3 and not list(trunk.parameters())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"widths": []}, "trunk: widths=\\[\\] are no sizes"),
        ({"widths": [4, 0]}, "trunk: widths=\\[4, 0\\]"),
        ({"widths": [4], "dropout": 1.0}, "trunk.dropout=1.0"),
    ],
)
def test_silly_sizes_are_told(options, told):
    with pytest.raises(Problem, match=told):
        MlpTrunk(3, **options)
