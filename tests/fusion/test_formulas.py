"""Fusions against their formulas: small numbers worked by hand, and the definitions written another way."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from xlearn.fusion.attention import Attention
from xlearn.fusion.bilinear import Bilinear
from xlearn.fusion.concat import Concat
from xlearn.fusion.film import Film
from xlearn.fusion.gated import Gated
from xlearn.fusion.late import Late
from xlearn.fusion.low_rank import LowRank
from xlearn.fusion.mean import Mean
from xlearn.fusion.mlp import Mlp
from xlearn.fusion.sum import Sum
from xlearn.fusion.tensor import TensorProduct
from xlearn.fusion.tile import Tile
from xlearn.networks.network import Tokens

A, B = [3.0, 4.0], [2.0]
WIDTHS = {"a": 2, "b": 1}
# P_a x_a = [3 + 4, 4 - 1] = [7, 3] and P_b x_b = [2 + 1, -2] = [3, -2]
PROJECTION = {
    "project.a.weight": [[1, 1], [0, 1]], "project.a.bias": [0, -1],
    "project.b.weight": [[1], [-1]], "project.b.bias": [1, 0],
}  # fmt: skip


def one(**vectors):
    """One example; a list of numbers is one token, a list of lists several, None a missing modality."""
    found = {}
    for name, given in vectors.items():
        if given is None:
            found[name] = Tokens(torch.full((1, 1, WIDTHS[name]), 99.0), torch.zeros(1, 1, dtype=torch.bool))
        else:
            found[name] = Tokens(torch.tensor(given).reshape(1, -1, WIDTHS[name]))
    return found


def loaded(fusion, **values):
    """The fusion with these parameters, all of them."""
    fusion.load_state_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()})
    return fusion


def gives(fusion, expected, **vectors):
    with torch.no_grad():
        torch.testing.assert_close(fusion(one(**vectors)), torch.tensor([expected], dtype=torch.float32))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_concat_and_the_mean_over_valid_tokens():
    gives(Concat(WIDTHS), [3, 4, 2], a=A, b=B)
    gives(Concat(WIDTHS), [0, 0, 2], a=None, b=B)
    gives(Concat(WIDTHS), [3, 4, 0], a=A)
    gives(Concat(WIDTHS), [2, 3, 2], a=[[3.0, 4.0], [1.0, 2.0]], b=B)
    values, mask = torch.tensor([[[3.0, 4.0], [1.0, 2.0], [9.0, 9.0]]]), torch.tensor([[True, True, False]])
    assert Concat({"a": 2})({"a": Tokens(values, mask)}).tolist() == [[2, 3]]


def test_sum_and_mean():
    gives(loaded(Sum(WIDTHS, width=2), **PROJECTION), [10, 1], a=A, b=B)
    gives(loaded(Sum(WIDTHS, width=2), **PROJECTION), [7, 3], a=A, b=None)
    gives(loaded(Mean(WIDTHS, width=2), **PROJECTION), [5, 0.5], a=A, b=B)
    gives(loaded(Mean(WIDTHS, width=2), **PROJECTION), [3, -2], b=B)


def test_mean_of_unit_vectors():
    """a = [7, 3] of length sqrt 58, b = [3, -2] of length sqrt 13, both brought to sqrt 2."""
    a, b = ([math.sqrt(2 / 58) * 7, math.sqrt(2 / 58) * 3], [math.sqrt(2 / 13) * 3, -math.sqrt(2 / 13) * 2])
    fusion = loaded(Mean(WIDTHS, width=2, unit=True), **PROJECTION)
    gives(fusion, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], a=A, b=B)
    gives(fusion, a, a=A, b=None)
    assert Mean({"a": 2}, width=None, unit=True)(one(a=[0.0, 0.0])).tolist() == [[0, 0]]


def test_mlp_is_two_layers_on_the_concatenation():
    """h = relu([3 - 2, 4 - 2 * 2 - 1, 2]) = [1, 0, 2]; result relu([1 + 2 * 2, -1])."""
    first = {"layers.0.0.weight": [[1, 0, -1], [0, 1, -2], [0, 0, 1]], "layers.0.0.bias": [0, -1, 0]}
    second = {"layers.1.0.weight": [[1, 5, 2], [-1, 1, 0]], "layers.1.0.bias": [0, 0]}
    fusion = loaded(Mlp(WIDTHS, width=2, hidden=3), **first, **second)
    gives(fusion, [5, 0], a=A, b=B)
    gives(fusion, [18, 0], a=A, b=None)  # h = [3, 3, 0]: 3 + 5 * 3, -3 + 3


def test_tile_joins_every_token_with_the_other_vector():
    """h = relu([x1 - b, x2 + b]): tokens [3, 4] and [1, 0] with b = 2 give [1, 6], [0, 2]; mean of [7, 0], [2, 0]."""
    layers = {"layers.0.0.weight": [[1, 0, -1], [0, 1, 1]], "layers.0.0.bias": [0, 0]}
    layers |= {"layers.1.0.weight": [[1, 1], [-1, 0]], "layers.1.0.bias": [0, 0]}
    for along in (None, "a"):
        fusion = loaded(Tile(WIDTHS, width=2, along=along), **layers)
        gives(fusion, [4.5, 0], a=[[3.0, 4.0], [1.0, 0.0]], b=B)
        gives(fusion, [2, 0], b=B)  # one token of zeros: h = relu([-2, 2])
    # Along b = 2 and b = -1 with the mean token [2, 2] of a; b stands first: h = relu([b - 2, 2 + 2]).
    layers["layers.0.0.weight"] = [[1, 0, -1], [0, 1, 1]]  # of [b, a1, a2]
    fusion = loaded(Tile(WIDTHS, width=2, along="b"), **layers)
    gives(fusion, [4, 0], a=[[3.0, 4.0], [1.0, 0.0]], b=[[2.0], [-1.0]])


def test_attention_weights_are_a_softmax_over_those_there():
    """Scores: a: 3 - 2 = 1, b: 4 - 2 * 2 + 0.5 = 0.5."""
    fusion = loaded(
        Attention(WIDTHS, width=2), **PROJECTION, **{"score.weight": [[1, 0, -1], [0, 1, -2]], "score.bias": [0, 0.5]}
    )
    share = math.exp(1) / (math.exp(1) + math.exp(0.5))
    gives(fusion, [share * 7 + (1 - share) * 3, share * 3 - (1 - share) * 2], a=A, b=B)
    gives(fusion, [7, 3], a=A, b=None)
    gives(fusion, [0, 0], a=None, b=None)


def test_gated_is_the_gated_multimodal_unit():
    """Gates: sigmoid(0.5 * 3 - 2) for the first feature, sigmoid(0.25 * 4 + 2 - 1) for the second."""
    fusion = loaded(Gated(WIDTHS, width=2), **PROJECTION, **{"gate.weight": [[0.5, 0, -1], [0, 0.25, 1]], "gate.bias": [0, -1]})
    z, y = sigmoid(-0.5), sigmoid(2)
    gives(fusion, [z * math.tanh(7) + (1 - z) * math.tanh(3), y * math.tanh(3) + (1 - y) * math.tanh(-2)], a=A, b=B)
    gives(fusion, [math.tanh(7), math.tanh(3)], a=A, b=None)
    gives(fusion, [math.tanh(3), math.tanh(-2)], b=B)


def test_gates_of_three_modalities_sum_to_one():
    torch.manual_seed(0)
    fusion = Gated({"a": 2, "b": 1, "c": 2}, width=3)
    x = {name: torch.randn(5, size) for name, size in fusion.widths.items()}
    for missing in (None, "b", "c"):
        there = {name: Tokens(each.unsqueeze(1)) for name, each in x.items() if name != missing}
        seen = torch.cat([each * (name != missing) for name, each in x.items()], dim=1)
        free = fusion.gate(seen)
        weights = {"a": free[:, :3].exp(), "b": free[:, 3:].exp(), "c": torch.ones(5, 3)}
        parts = [weights[name] * torch.tanh(fusion.project[name](x[name])) for name in there]
        torch.testing.assert_close(fusion(there), sum(parts) / sum(weights[name] for name in there))


def test_film_scales_and_shifts_every_token():
    """P x = [x1 + x2, x2 - 1]; b = 2 gives gamma = [1, -0.5], beta = [-10, 2]. Tokens [3, 4]: [2 * 7 - 10, 0.5 * 3 + 2];
    [1, 0]: [2 - 10, 0.5 * -1 + 2]; ReLU and mean of [4, 3.5] and [0, 1.5]."""
    values = {"project.weight": [[1, 1], [0, 1]], "project.bias": [0, -1], "condition.weight": [[0.5], [-0.25], [-5], [1]]}
    fusion = loaded(Film(WIDTHS, width=2), **values)
    gives(fusion, [2, 2.5], a=[[3.0, 4.0], [1.0, 0.0]], b=B)
    gives(fusion, [4, 1.5], a=[[3.0, 4.0], [1.0, 0.0]], b=None)  # relu(P x) alone: [7, 3], [1, 0]
    gives(fusion, [0, 1.5], b=B)  # P 0 = [0, -1]: [-10, 1.5]
    other = loaded(
        Film(WIDTHS, width=1, of="b"), **{"project.weight": [[1]], "project.bias": [0], "condition.weight": [[1, 0], [0, 1]]}
    )
    gives(other, [12], a=A, b=B)  # (1 + 3) * 2 + 4


def test_film_starts_as_one_modality_alone():
    fusion = Film(WIDTHS, width=8)
    assert torch.equal(fusion(one(a=A, b=B)), fusion(one(a=A)))


def test_tensor_is_the_outer_product():
    """[1, 3, 4] (x) [1, 2], entries 1, 2, 3, 6, 4, 8; W picks their sum, and the last one."""
    fusion = loaded(TensorProduct(WIDTHS, width=2, rank=None), **{"join.weight": [[1] * 6, [0, 0, 0, 0, 0, 1]]})
    gives(fusion, [24, 8], a=A, b=B)
    gives(fusion, [8, 0], a=A, b=None)  # 1, 0, 3, 0, 4, 0
    gives(fusion, [3, 0], b=B)
    # Rank 2 and 2: [1, 7, 3] (x) [1, 3, -2]; without b the projection's bias is gone too.
    weight = [[1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 10, 100, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 10, 0, 100, 1000]]
    fusion = loaded(TensorProduct(WIDTHS, width=3, rank=2), **PROJECTION, **{"join.weight": weight})
    gives(fusion, [1, 3 - 20 + 700, 21 - 140 + 900 - 6000], a=A, b=B)
    gives(fusion, [1, 700, 0], a=A, b=None)


def test_low_rank_by_hand():
    """Ranks 1 and 2, one feature: (1 + 3 + 2 * 4) (2 - 2) = 0 and (0 + 3 - 4) (1 + 3 * 2) = -7; 5 * 0 - 2 * 7 + 0.5."""
    values = {"factor.a": [[[1], [1], [2]], [[0], [1], [-1]]], "factor.b": [[[2], [-1]], [[1], [3]]]}
    fusion = loaded(LowRank(WIDTHS, width=1, rank=2), **values, weight=[5, 2], bias=[0.5])
    gives(fusion, [-13.5], a=A, b=B)
    gives(fusion, [5 * 12 * 2 + 2 * -1 * 1 + 0.5], a=A, b=None)


def test_low_rank_is_a_contraction_with_the_whole_tensor():
    torch.manual_seed(0)
    fusion = LowRank({"a": 2, "b": 1, "c": 3}, width=4, rank=5)
    tensor = torch.einsum("r,rio,rjo,rko->ijko", fusion.weight, *(fusion.factor[name] for name in "abc"))
    x = {name: torch.randn(6, size) for name, size in fusion.widths.items()}
    extended = [functional.pad(each, (1, 0), value=1.0) for each in x.values()]
    expected = torch.einsum("bi,bj,bk,ijko->bo", *extended, tensor) + fusion.bias
    torch.testing.assert_close(fusion({name: Tokens(each.unsqueeze(1)) for name, each in x.items()}), expected)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_low_rank_starts_at_the_scale_of_its_inputs(count):
    torch.manual_seed(0)
    fusion = LowRank({str(number): 30 + number for number in range(count)}, width=400, rank=8)
    x = {name: Tokens(torch.randn(300, 1, size)) for name, size in fusion.widths.items()}
    assert 0.7 < fusion(x).detach().square().mean().item() < 1.4


def test_bilinear_is_factorized_bilinear_pooling():
    """Two groups of one: 7 * 3 and 3 * -2; roots sqrt 21 and -sqrt 6, length sqrt 27. One group of two: 21 - 6 > 0."""
    fusion = loaded(Bilinear(WIDTHS, width=2, factors=1), **PROJECTION)
    gives(fusion, [math.sqrt(21 / 27), -math.sqrt(6 / 27)], a=A, b=B)
    gives(fusion, [math.sqrt(3 / 5), -math.sqrt(2 / 5)], a=None, b=B)  # the factor of a is 1
    gives(loaded(Bilinear(WIDTHS, width=1, factors=2), **PROJECTION), [1], a=A, b=B)
    # Neighbours form a group: U_a = [1, 2, 3, 4], U_b = 1 give z = [3, 7].
    values = {"project.a.weight": [[0, 0]] * 4, "project.a.bias": [1, 2, 3, 4], "project.b.weight": [[0]] * 4}
    fusion = loaded(Bilinear(WIDTHS, width=2, factors=2), **values, **{"project.b.bias": [1] * 4})
    gives(fusion, [math.sqrt(3 / 10), math.sqrt(7 / 10)], a=A, b=B)


def test_bilinear_has_a_gradient_where_the_product_is_zero():
    values = {name: torch.zeros_like(torch.tensor(each, dtype=torch.float32)) for name, each in PROJECTION.items()}
    fusion = Bilinear(WIDTHS, width=2, factors=1)
    fusion.load_state_dict({**values, "project.a.bias": torch.ones(2)})
    output = fusion(one(a=A, b=B))
    output.sum().backward()
    assert output.tolist() == [[0, 0]] and all(bool(torch.isfinite(each.grad).all()) for each in fusion.parameters())


def test_late_with_a_linear_head_averages_logits():
    gives(Late(WIDTHS), [1.5, 2, 1], a=A, b=B)
    gives(Late(WIDTHS), [0, 0, 2], a=None, b=B)
    torch.manual_seed(0)
    head = nn.Linear(3, 4)
    weight_a, weight_b = head.weight[:, :2], head.weight[:, 2:]
    a, b = torch.tensor(A), torch.tensor(B)
    both, alone = (weight_a @ a + weight_b @ b) / 2 + head.bias, weight_a @ a + head.bias
    torch.testing.assert_close(head(Late(WIDTHS)(one(a=A, b=B)))[0], both)
    torch.testing.assert_close(head(Late(WIDTHS)(one(a=A)))[0], alone)
    gives(loaded(Late(WIDTHS, hidden=2), **PROJECTION), [3.5, 1.5, 1.5, 0], a=A, b=B)
    gives(loaded(Late(WIDTHS, hidden=2), **PROJECTION), [7, 3, 0, 0], a=A, b=None)
