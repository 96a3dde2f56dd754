"""Encoders of token numbers: the last state by hand, padding that changes nothing, gradients, blocks."""

from functools import partial

import pytest
import torch
from torch import nn

from xlearn.data.augment._token_dropout import token_dropout
from xlearn.data.columns import Sequences
from xlearn.data.task import Batch, ImageSpec, TextSpec
from xlearn.encoders.lstm import Lstm
from xlearn.encoders.text_cnn import TextCnn
from xlearn.encoders.transformer import Transformer
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

SPEC = TextSpec(30, 12, "toy")
EVERY = {
    "last": partial(Lstm, embedding=5, width=6, layers=2, bidirectional=False, pooling="last"),
    "both": partial(Lstm, embedding=5, width=6, layers=2, bidirectional=True, pooling="last"),
    "max": partial(Lstm, embedding=5, width=6, layers=2, bidirectional=True, pooling="max"),
    "cnn": partial(TextCnn, embedding=5, filters=4, kernels=[1, 3]),
    "transformer": partial(Transformer, width=8, layers=2, heads=2, feedforward=12),
}
SPACE = Classes("toy", ("a", "b"))


def build(name, **options):
    torch.manual_seed(0)
    return EVERY[name](SPEC, **options).eval()


def texts(*lengths, longest=None, seed=0):
    """Random token numbers of these lengths, padded to the longest, or to `longest`."""
    generator = torch.Generator().manual_seed(seed)
    longest = longest or max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    drawn = torch.randint(1, 30, (len(lengths), 12), generator=generator, dtype=torch.int32)[:, :longest]
    return Sequences(drawn.masked_fill(~mask, 0), mask)


def by_hand(encoder, numbers):
    """The states of every layer's nn.LSTM on one unpadded text: (last of the top layer, all of the top layer)."""
    x = encoder.embedding.weight[numbers.long()].unsqueeze(0)
    for layer in encoder.layers:
        x, (state, _) = torch.nn.LSTM.forward(layer, x)
    return state.flatten(), x[0]


@pytest.mark.parametrize("name", ["last", "both", "max"])
def test_the_state_is_that_of_single_unpadded_texts(name):
    encoder, given = build(name), texts(3, 7, 1, 5, longest=9)
    found = encoder(given)
    assert found.values.shape == (4, 1, 6) and bool(found.mask.all())
    for row in range(4):
        last, states = by_hand(encoder, given.values[row][given.mask[row]])
        expected = states.amax(0) if name == "max" else last
        assert torch.allclose(found.values[row, 0], expected, atol=1e-6)


def test_a_direction_ends_at_its_own_end():
    encoder = build("both")
    one, other = texts(6), texts(6)
    other.values[0, -1] += 1
    half = 3
    changed = (encoder(one).values != encoder(other).values)[0, 0]
    assert bool(changed[:half].any()) and bool(changed[half:].any())
    _, states = by_hand(encoder, one.values[0])
    # Left to right the state after the last token, right to left that after the first.
    assert torch.allclose(encoder(one).values[0, 0], torch.cat([states[-1, :half], states[0, half:]]), atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_more_padding_and_other_rows_change_nothing(name):
    encoder = build(name)
    alone, padded = encoder(texts(4)), encoder(texts(4, 12, longest=12))
    assert torch.allclose(alone.values[0], padded.values[0, : alone.values.shape[1]], atol=1e-6)
    noisy = texts(4, 12, longest=12)
    noisy.values[0, 4:] = 7  # whatever stands under a False mask is not read
    assert torch.equal(encoder(noisy).values, padded.values)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_but_padding_is_finite_and_hidden(name):
    encoder, given = build(name).train(), texts(5, 0)
    found = encoder(given)
    assert bool(found.values.isfinite().all()) and not bool(found.mask[1].any()) and not bool(found.values[1].any())
    found.values.square().sum().backward()
    assert all(bool(each.grad.isfinite().all()) for each in encoder.parameters())
    assert bool(build(name)(texts(0, 0, longest=1)).values.isfinite().all())


@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_every_parameter_and_padding_stays_zero(name):
    encoder = build(name).train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.1, weight_decay=0.1)
    target = torch.randn(2, 1, encoder.width)
    (encoder(texts(12, 3)).values * target).sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert bool(parameter.grad.any()), parameter_name
    optimizer.step()
    assert not bool(encoder.embedding.weight[0].any())


def test_the_order_of_words_matters():
    for name in EVERY:
        encoder = build(name)
        given = texts(8)
        turned = Sequences(given.values.flip(1), given.mask)
        assert not torch.allclose(encoder(given).values.mean(1), encoder(turned).values.mean(1), atol=1e-4), name


def test_a_phrase_is_a_window_that_ends_inside_the_text():
    encoder, given = build("cnn"), texts(1, 6, longest=9)
    for row, size in ((0, 1), (1, 6)):
        x = nn.functional.pad(encoder.embedding(given.values[row, :size]), (0, 0, 2, 0))  # two tokens of nothing before it
        expected = []
        for convolution, length in zip(encoder.phrases.convolutions, (1, 3), strict=True):
            windows = torch.stack([x[end - length + 3 : end + 3] for end in range(size)])
            found = torch.einsum("wkc,fck->wf", windows, convolution.weight) + convolution.bias
            expected.append(found.relu().amax(0))
        assert torch.allclose(encoder(given).values[row, 0], torch.cat(expected), atol=1e-6)


def test_the_transformer_attends_as_torch_does():
    encoder = build("transformer")
    given = texts(5, 9)
    block = encoder.blocks[0]
    x = torch.randn(2, 9, 8)
    reference = nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", norm_first=True, batch_first=True).eval()
    names = {
        "self_attn.in_proj_weight": block.projections.weight, "self_attn.in_proj_bias": block.projections.bias,
        "self_attn.out_proj.weight": block.out.weight, "self_attn.out_proj.bias": block.out.bias,
        "linear1.weight": block.dense[0].weight, "linear1.bias": block.dense[0].bias,
        "linear2.weight": block.dense[3].weight, "linear2.bias": block.dense[3].bias,
        "norm1.weight": block.attention_norm.weight, "norm1.bias": block.attention_norm.bias,
        "norm2.weight": block.dense_norm.weight, "norm2.bias": block.dense_norm.bias,
    }  # fmt: skip
    reference.load_state_dict(names)
    # Without the library's fast path, which fills padding with zeros.
    expected = reference.train()(x, src_key_padding_mask=~given.mask)
    found = block(x, given.mask[:, None, None])
    assert torch.allclose(found[given.mask], expected[given.mask], atol=1e-5)


@pytest.mark.parametrize("name", ["last", "transformer"])
def test_blocks_run_from_the_embedding_to_the_last_layer(name):
    encoder = build(name)
    found = blocks(encoder, "encoder.text.")
    assert found[0][0] == "encoder.text.embedding." and len(found) == 3
    names = [f"encoder.text.{each}" for each, _ in encoder.named_parameters()]
    owners = [[each for block in found for each in block if parameter.startswith(each)] for parameter in names]
    assert all(len(each) == 1 for each in owners)
    assert found[1][0].endswith("s.0.") and found[2][0].endswith("s.1.")


def test_counts_of_parameters():
    def count(name):
        return sum(each.numel() for each in build(name).parameters())

    assert count("last") == 30 * 5 + 4 * 6 * (5 + 6 + 2) + 4 * 6 * (6 + 6 + 2)
    assert count("both") == count("max") == 30 * 5 + 2 * 4 * 3 * (5 + 3 + 2) + 2 * 4 * 3 * (6 + 3 + 2)
    block = 4 * 8 * 8 + 4 * 8 + 2 * 8 * 12 + 8 + 12 + 4 * 8
    assert count("cnn") == 30 * 5 + (5 + 1) * 4 + (3 * 5 + 1) * 4
    assert count("transformer") == 30 * 8 + 12 * 8 + 2 * block + 2 * 8


def test_dropout_acts_in_training_alone():
    for name in EVERY:
        encoder = build(name, dropout=0.5)
        assert torch.equal(encoder(texts(6)).values, encoder(texts(6)).values)
        encoder.train()
        assert not torch.equal(encoder(texts(6)).values, encoder(texts(6)).values)


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("last", {"width": 0}, "encoder.text.width=0"),
        ("last", {"embedding": -1}, "encoder.text.embedding=-1"),
        ("last", {"layers": 0}, "encoder.text.layers=0"),
        ("both", {"width": 5}, "encoder.text.width=5: two directions"),
        ("max", {"dropout": 1.0}, "encoder.text.dropout=1.0"),
        ("cnn", {"kernels": [2, 0]}, "encoder.text.kernels=\\[2, 0\\]"),
        ("cnn", {"filters": 0}, "encoder.text.filters=0"),
        ("transformer", {"heads": 3}, "encoder.text.heads=3: width 8 is not divisible by it. Give one of 1, 2, 4, 8"),
        ("transformer", {"heads": 0}, "encoder.text.heads=0"),
        ("transformer", {"feedforward": 0}, "encoder.text.feedforward=0"),
    ],
)
def test_silly_options_are_told(name, options, word):
    with pytest.raises(Problem, match=word):
        EVERY[name](SPEC, **options)


def test_images_are_no_token_numbers():
    with pytest.raises(Problem, match="reads token numbers, not ImageSpec"):
        EVERY["last"](ImageSpec(1, 2, 2))


def batch(given):
    return Batch({"text": given}, torch.zeros(len(given.mask)).long(), SPACE)


def test_token_dropout_replaces_its_share_and_no_padding():
    given = Sequences(torch.full((400, 50), 7, dtype=torch.int32), torch.arange(50) < torch.arange(400)[:, None] % 51)
    given = Sequences(given.values.masked_fill(~given.mask, 0), given.mask)
    found = token_dropout(batch(given), torch.Generator().manual_seed(0), share=0.3).inputs["text"]
    assert torch.equal(found.mask, given.mask) and found.values.dtype == torch.int32
    assert not bool(found.values[~given.mask].any()) and set(found.values[given.mask].unique().tolist()) == {1, 7}
    assert abs(float((found.values[given.mask] == 1).float().mean()) - 0.3) < 0.02
    assert set(given.values[given.mask].unique().tolist()) == {7}  # the examples themselves stay as they are


def test_token_dropout_follows_its_generator_and_leaves_other_batches():
    def dropped(seed, share=0.5):
        return token_dropout(batch(texts(12, 9)), torch.Generator().manual_seed(seed), share=share).inputs["text"].values

    assert torch.equal(dropped(1), dropped(1)) and not torch.equal(dropped(1), dropped(2))
    assert torch.equal(dropped(1, 0.0), texts(12, 9).values)
    other = Batch({"image": torch.zeros(2, 1, 3, 3)}, torch.zeros(2).long(), SPACE)
    assert token_dropout(other, torch.Generator(), share=0.5) is other
    with pytest.raises(Problem, match="augment.token_dropout.share=1.0"):
        token_dropout(batch(texts(3)), torch.Generator(), share=1.0)
