"""Options of fusions: how many parameters they cost, and values that are refused with what would fit."""

import math
import random

import pytest
import torch

from xlearn.config.component import component
from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.fusion.pooling import shares
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem, Problems

FILES = options("fusion", [conf_folder()])
WIDTHS = {"text": 4, "image": 5, "audio": 3}


def build(name, widths=WIDTHS, **changes):
    needs = {"mean": {"width": 8}}.get(name, {})
    return component({**read_yaml(FILES[name]), **needs, **changes}, "fusion", positional=1)(widths)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def project(widths, width):
    return sum((each + 1) * width for each in widths)


# The formulas of the docstrings, with d the width, s the sum of the widths w and m their number.
COUNTS = {
    "concat": lambda w, s, m, d: 0,
    "late": lambda w, s, m, d: 0,
    "mean": lambda w, s, m, d: project(w, d),
    "sum": lambda w, s, m, d: project(w, d),
    "mlp": lambda w, s, m, d: (s + 1) * 64 + 65 * d,
    "tile": lambda w, s, m, d: (s + 1) * d + (d + 1) * d,
    "attention": lambda w, s, m, d: project(w, d) + (s + 1) * m * (m > 1),
    "gated": lambda w, s, m, d: project(w, d) + (s + 1) * (m - 1) * d,
    "film": lambda w, s, m, d: (w[0] + 1) * d + 2 * d * (s - w[0]),
    "tensor": lambda w, s, m, d: project(w, 8) + 9**m * d,
    "low_rank": lambda w, s, m, d: 8 * project(w, d) + 8 + d,
    "bilinear": lambda w, s, m, d: project(w, 5 * d),
    "cross_attention": lambda w, s, m, d: (
        project(w, d) + (m > 1) * (m * (m - 1) * (4 * d * d + 4 * d) + 2 * m * d) + (m * d + 1) * d
    ),
    "bottleneck": lambda w, s, m, d: project(w, d) + 4 * d + m * (2 * (8 * d * d + 11 * d) + 2 * d),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_numbers_of_parameters(name, width, count):
    widths = {each: WIDTHS[each] for each in sorted(WIDTHS)[:count]}
    sizes = list(widths.values())
    fusion = build(name, widths, **({} if name in ("concat", "late") else {"width": width}))
    assert parameters(fusion) == COUNTS[name](sizes, sum(sizes), count, width)


def test_numbers_of_parameters_of_other_options():
    assert parameters(build("late", hidden=7)) == project(WIDTHS.values(), 7) and build("late", hidden=7).width == 21
    assert parameters(build("mean", {"a": 4, "b": 4}, width=None)) == 0
    assert parameters(build("tensor", width=8, rank=None)) == 8 * math.prod(each + 1 for each in WIDTHS.values())
    assert parameters(build("film", width=8, of="text")) == 5 * 8 + 2 * 8 * (3 + 5)
    layer = 6 * (4 * 64 + 32) + 2 * 3 * 8
    assert parameters(build("cross_attention", width=8, layers=3)) - parameters(build("cross_attention", width=8)) == 2 * layer
    assert parameters(build("bottleneck", width=8, layers=3)) - parameters(build("bottleneck", width=8)) == 3 * (8 * 64 + 88)


SIZES = ("width", "hidden", "rank", "factors", "heads", "layers", "bottlenecks")
WRONG_SIZES = [
    (name, key, value) for name, file in FILES.items() for key in SIZES if key in read_yaml(file) for value in (0, -3)
]


@pytest.mark.parametrize(("name", "key", "value"), WRONG_SIZES)
def test_sizes_below_one_are_refused(name, key, value):
    before = torch.get_rng_state()
    with pytest.raises(Problem, match=rf"^fusion\.{key}={value}: .*(1|2) or more"):
        build(name, **{key: value})
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn, hence nothing was built


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if "dropout" in read_yaml(file)])
@pytest.mark.parametrize("dropout", [1, 1.5, -0.1, float("nan")])
def test_a_dropout_that_is_no_share_is_refused(name, dropout):
    with pytest.raises(Problem, match=rf"^fusion\.dropout={dropout}: give a share of 0 or more and below 1"):
        build(name, dropout=dropout)


def test_several_wrong_values_are_told_at_once():
    with pytest.raises(Problems) as caught:
        build("mlp", width=0, hidden=-1, dropout=2)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("name", ["cross_attention", "bottleneck"])
def test_heads_divide_the_width(name):
    with pytest.raises(Problem, match=r"^fusion\.heads=5: width 64 .* Give one of 1, 2, 4, 8, 16, 32, 64"):
        build(name, heads=5)


def test_one_layer_of_bottlenecks_is_no_fusion():
    with pytest.raises(Problem, match=r"^fusion\.layers=1: .* Give 2 or more"):
        build("bottleneck", layers=1)


@pytest.mark.parametrize(("name", "key"), [("tile", "along"), ("film", "of")])
def test_a_modality_that_is_not_there_is_refused(name, key):
    with pytest.raises(Problem, match=rf"^fusion\.{key}=imag: no such modality here\. Did you mean 'image'\? null is audio"):
        build(name, **{key: "imag"})
    assert getattr(build(name), key) == "audio" and getattr(build(name, **{key: "text"}), key) == "text"


def test_a_mean_of_different_widths_needs_a_width():
    with pytest.raises(Problem, match=r"^fusion\.width=null: .*\(audio 3, image 5, text 4\)\. Set fusion\.width=64"):
        build("mean", width=None)


def test_a_product_too_wide_is_refused_before_it_is_built():
    with pytest.raises(Problem, match=r"^fusion\.rank=null: .*\(a 512, b 512\) has 263,169 .*rank of at most 255, or use"):
        build("tensor", {"b": 512, "a": 512}, rank=None)
    with pytest.raises(Problem, match=r"^fusion\.rank=40: .* has 68,921 entries, above 65,536\. Give a rank of at most 39,"):
        build("tensor", rank=40)
    with pytest.raises(Problem, match=r"entries, above 65,536\. Use fusion=low_rank\."):
        build("tensor", {str(number): 1 for number in range(17)}, rank=None)
    assert build("tensor", {"a": 512, "b": 512}, rank=255, width=1).join.in_features == 65_536


@pytest.mark.parametrize("name", FILES)
def test_modalities_the_fusion_does_not_know_are_told(name):
    given = {"image": Tokens(torch.ones(2, 1, 5)), "sound": Tokens(torch.ones(2, 1, 5))}
    for tokens, told in ((given, "image, sound"), ({}, "none")):
        with pytest.raises(Problem, match=f"modalities of a batch: {told}. The fusion was built for audio, image, text"):
            build(name)(tokens)


def test_shares_are_a_softmax_over_what_is_there():
    random.seed(0)
    for _ in range(50):
        scores = [random.uniform(-30, 30) for _ in range(4)]
        there = [random.random() < 0.6 for _ in range(4)]
        whole = sum(math.exp(score) for score, is_there in zip(scores, there, strict=True) if is_there)
        expected = [math.exp(score) / whole if is_there else 0.0 for score, is_there in zip(scores, there, strict=True)]
        found = shares(torch.tensor([scores]), torch.tensor([there]))
        torch.testing.assert_close(found, torch.tensor([expected]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["bottleneck", "cross_attention"])
def test_a_layer_normalisation_over_one_number_is_refused(name):
    """It is 0 whatever the input."""
    with pytest.raises(Problem, match=r"fusion: width=1 is a layer normalisation over 1 number.*Give 2 or more"):
        build(name, width=1, heads=1)
