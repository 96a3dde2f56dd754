"""Fusions whose tokens attend to each other, against their definitions written out token by token."""

import math

import pytest
import torch
from torch.nn import functional

from xlearn.fusion.bottleneck import Bottleneck
from xlearn.fusion.cross_attention import CrossAttention
from xlearn.networks.network import Tokens

WIDTHS = {"a": 3, "b": 2, "c": 4}
LENGTHS = {"a": 2, "b": 3, "c": 1}
OPTIONS = {"width": 6, "heads": 2, "layers": 2}


def examples():
    """Two examples: all tokens valid; `a` lacks a token, `b` is missing."""
    torch.manual_seed(1)
    found = {name: torch.randn(2, LENGTHS[name], width) for name, width in WIDTHS.items()}
    masks = {name: torch.ones(2, length, dtype=torch.bool) for name, length in LENGTHS.items()}
    masks["a"][1, 1] = False
    masks["b"][1] = False
    return {name: Tokens(values, masks[name]) for name, values in found.items()}


def valid(given, row):
    """`[length, width]` of the modalities that example `row` has, without what is masked."""
    return {name: values[row][mask[row]] for name, (values, mask) in given.items() if bool(mask[row].any())}


def attend(attention, queries, keys):
    """`concat_h softmax(Q_h K_h' / sqrt(d / heads)) V_h`, then the output map, by hand."""
    parts = zip(attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), (queries, keys, keys), strict=True)
    q, k, v = (functional.linear(x, weight, bias).chunk(attention.num_heads, dim=1) for weight, bias, x in parts)
    heads = [torch.softmax(q_h @ k_h.T / math.sqrt(q_h.shape[1]), dim=1) @ v_h for q_h, k_h, v_h in zip(q, k, v, strict=True)]
    return attention.out_proj(torch.cat(heads, dim=1))


@pytest.mark.parametrize("row", [0, 1])
def test_cross_attention_token_by_token(row):
    torch.manual_seed(0)
    fusion = CrossAttention(WIDTHS, **OPTIONS)
    x = valid(examples(), row)
    start = {name: fusion.project[name](values) for name, values in x.items()}
    hidden = dict(start)
    for layer in fusion.layers:
        updated = {}
        for name, queries in hidden.items():
            others = [attend(layer.attention[name][other], queries, start[other]) for other in x if other != name]
            updated[name] = layer.norm[name](queries + sum(others) / len(others))
        hidden = updated
    vectors = [hidden[name].mean(0) if name in hidden else torch.zeros(6) for name in WIDTHS]
    torch.testing.assert_close(fusion(examples())[row], fusion.join(torch.cat(vectors)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("row", [0, 1])
def test_bottleneck_token_by_token(row):
    torch.manual_seed(0)
    fusion = Bottleneck(WIDTHS, **OPTIONS, bottlenecks=2).eval()
    x = valid(examples(), row)
    hidden, between = {name: fusion.project[name](values) for name, values in x.items()}, fusion.bottlenecks
    for layer in fusion.layers:
        own = []
        for name in x:
            block, tokens = layer[name], torch.cat([hidden[name], between])
            normed = block.norm1(tokens)
            tokens = tokens + attend(block.self_attn, normed, normed)
            tokens = tokens + block.linear2(functional.gelu(block.linear1(block.norm2(tokens))))
            hidden[name] = tokens[:-2]
            own.append(tokens[-2:])
        between = sum(own) / len(own)
    expected = sum(fusion.norm[name](hidden[name].mean(0)) for name in x) / len(x)
    torch.testing.assert_close(fusion(examples())[row], expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():  # torch has a faster way of its own there
        torch.testing.assert_close(fusion(examples())[row], expected, atol=1e-5, rtol=1e-4)


def test_modalities_meet_between_the_layers_of_the_bottleneck_transformer():
    """What `b` says reaches the tokens of `a` through the bottlenecks only, and only when they are its own."""
    torch.manual_seed(0)
    fusion = Bottleneck({"a": 3, "b": 2}, **OPTIONS, bottlenecks=2)
    given = {name: examples()[name] for name in "ab"}
    heard = []
    fusion.layers[1]["a"].register_forward_hook(lambda _, inputs, output: heard.append(output.detach()))
    fusion(given)
    fusion({**given, "b": Tokens(given["b"].values + 1, given["b"].mask)})
    assert not torch.equal(heard[0][0], heard[1][0])
    assert torch.equal(heard[0][1], heard[1][1])  # the second example has no b
