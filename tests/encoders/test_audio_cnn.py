"""The network over frames: padding, missing sounds, tokens, blocks."""

import pytest
import torch

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.task import AudioSpec
from xlearn.encoders.audio_cnn import AudioCnn
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

SPEC = AudioSpec(20, 8000, "log-mel")


def build(spec=SPEC, **options):
    torch.manual_seed(0)
    given = {"channels": [8, 12, 16], "dense": 24, "tokens": "one", "dropout": 0.0}
    return AudioCnn(spec, **{**given, **options})


def sequences(lengths=(40, 7, 1, 23), bands=20, longer=0):
    torch.manual_seed(1)
    column = Ragged.of([torch.randn(length, bands) for length in lengths])
    values, mask = column.take(torch.arange(len(lengths)))
    return Sequences(torch.nn.functional.pad(values, (0, 0, 0, longer)), torch.nn.functional.pad(mask, (0, longer)))


@pytest.mark.parametrize("tokens", ["one", "frames"])
@pytest.mark.parametrize("bands", [20, 12, 3, 64])
def test_shapes(tokens, bands):
    encoder = build(AudioSpec(bands, None, "frames"), tokens=tokens)
    values, mask = encoder(sequences(bands=bands))
    assert values.shape == (4, 1 if tokens == "one" else 10, 24) and encoder.width == 24
    assert mask.sum(1).tolist() == ([1] * 4 if tokens == "one" else [10, 2, 1, 6])
    assert not bool(values[~mask].any())


@pytest.mark.parametrize("tokens", ["one", "frames"])
@pytest.mark.parametrize("longer", [1, 2, 3, 50])
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(tokens, longer, training):
    encoder = build(tokens=tokens).train(training)
    values, mask = encoder(sequences())
    more, wider = encoder(sequences(longer=longer))
    torch.testing.assert_close(more[:, : values.shape[1]], values, atol=1e-5, rtol=0)
    assert torch.equal(wider[:, : mask.shape[1]], mask) and not bool(wider[:, mask.shape[1] :].any())


def test_what_lies_in_the_padding_is_not_read():
    encoder = build()
    clean = sequences()
    dirty = Sequences(clean.values.masked_fill(~clean.mask[:, :, None], 1e4), clean.mask)
    torch.testing.assert_close(encoder(dirty).values, encoder(clean).values)


def test_each_example_by_itself():
    encoder = build()
    together = encoder(sequences()).values
    given = sequences()
    for row, length in enumerate((40, 7, 1, 23)):
        alone = encoder(Sequences(given.values[row : row + 1, :length], given.mask[row : row + 1, :length])).values
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("tokens", ["one", "frames"])
def test_a_missing_sound_is_finite_and_so_are_the_gradients(tokens):
    encoder = build(tokens=tokens, dropout=0.3)
    values, mask = encoder(Sequences(torch.zeros(3, 5, 20), torch.tensor([[True] * 5, [False] * 5, [False] * 5])))
    assert bool(values.isfinite().all()) and mask.any(1).tolist() == [True, False, False]
    values.square().sum().backward()
    assert all(bool(each.grad.isfinite().all()) for each in encoder.parameters() if each.grad is not None)
    empty, mask = encoder(Ragged.of([torch.zeros(0, 20), torch.zeros(5, 20), torch.zeros(0, 20)]).take(torch.tensor([0, 2])))
    assert bool(empty.isfinite().all()) and not bool(mask.any())


def test_every_parameter_learns():
    encoder = build()
    encoder(sequences()).values.square().sum().backward()
    assert all(each.grad is not None and bool(each.grad.any()) for each in encoder.parameters())


def test_blocks():
    assert blocks(build(), "encoder.audio.") == [
        [f"encoder.audio.{name}."] for name in ("blocks.0", "blocks.1", "blocks.2", "frame", "pooled")
    ]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"channels": []}, "channels=\\[\\]"), ({"dense": 0}, "dense=\\[0\\]"), ({"dropout": 1.0}, "dropout=1.0"),
     ({"spec": AudioSpec(0, 16000, "waves")}, "reads frames, but these are waves")],
)  # fmt: skip
def test_silly_options_are_told(options, word):
    with pytest.raises(Problem, match=word):
        build(**options)
