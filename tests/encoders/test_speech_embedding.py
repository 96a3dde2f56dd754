"""Google's speech embedding: windows, silence, the reader of its weights; against ONNX itself in slow tests."""

import copy

import numpy as np
import pytest
import torch

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.task import AudioSpec
from xlearn.data.tasks import Raw
from xlearn.encoders import speech_embedding
from xlearn.encoders.speech_embedding import FOLDER, WEIGHTS, SpeechEmbedding, initialisers, log_mel, published
from xlearn.networks.network import blocks

SPEC = AudioSpec(32, 16000, "speech embedding")


def frames(lengths: list[int]) -> Sequences:
    generator = torch.Generator().manual_seed(0)
    clips = [1 + torch.randn(length, 32, generator=generator) for length in lengths]
    return Ragged.of(clips).take(torch.arange(len(lengths)))


def waves(lengths: list[int]) -> Ragged:
    generator = torch.Generator().manual_seed(0)
    return Ragged.of([0.1 * torch.randn(length, generator=generator) for length in lengths])


def front() -> dict[str, torch.Tensor]:
    """A front end of the published sizes, with other numbers."""
    generator = torch.Generator().manual_seed(0)
    bases = {f"0.stft.conv_{part}.weight": torch.randn(257, 1, 512, generator=generator) for part in ("real", "imag")}
    return {**bases, "1.melW": torch.rand(257, 32, generator=generator)}


def test_one_pass_gives_what_each_window_gives_alone():
    torch.manual_seed(0)
    encoder = SpeechEmbedding(SPEC, weights=None, pool="none").eval()
    given = frames([100, 76, 91])
    with torch.no_grad():
        tokens = encoder(given)
        assert tokens.values.shape == (3, 4, 96) and encoder.width == 96
        assert tokens.mask.sum(1).tolist() == [4, 1, 2]
        for row, count in enumerate([4, 1, 2]):
            for number in range(count):
                window = given.values[row : row + 1, 8 * number : 8 * number + 76]
                alone = encoder(Sequences(window, torch.ones(1, 76, dtype=torch.bool))).values[0, 0]
                assert torch.allclose(tokens.values[row, number], alone, atol=1e-5)
        encoder.pool = "mean"
        assert torch.allclose(encoder(given).values[2, 0], tokens.values[2, :2].mean(0), atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_a_missing_clip_is_finite_and_every_parameter_learns(pool):
    torch.manual_seed(0)
    encoder = SpeechEmbedding(SPEC, weights=None, pool=pool)
    tokens = encoder(frames([108, 0, 84]))
    assert tokens.mask.any(1).tolist() == [True, False, True] and bool(tokens.values.isfinite().all())
    tokens.values.square().mean().backward()
    for name, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.isfinite().all()) and bool(value.grad.any()), name
    nothing = encoder(Sequences(torch.zeros(2, 1, 32), torch.zeros(2, 1, dtype=torch.bool)))
    assert bool(nothing.values.isfinite().all()) and not nothing.mask.any()


def test_names_counts_and_blocks():
    encoder = SpeechEmbedding(SPEC, weights=None)
    # 328,200 in the file, of which mean, variance, scale and shift of 24 channels make 48 here.
    assert sum(value.numel() for value in encoder.parameters()) == 328_152
    found = blocks(encoder, "encoder.audio.")
    assert [block[0] for block in found] == [
        "encoder.audio.stem.", *(f"encoder.audio.layers.{number}." for number in range(5)), "encoder.audio.last.",
    ]  # fmt: skip
    copied = copy.deepcopy(encoder)
    copied.load_state_dict(encoder.state_dict())
    assert not [name for name, _ in encoder.named_buffers()]


def test_frames_follow_the_formula_between_silence():
    given, numbers = waves([3000, 17632, 17633, 0]), front()
    found = log_mel(given, numbers)
    assert found.lengths.tolist() == [108, 108, 116, 0] and found.values.dtype == torch.float32
    before = (17632 - 3000) // 2
    wave = np.zeros(17632)
    wave[before : before + 3000] = given.values[:3000].double().numpy() * 32768
    rows = np.stack([wave[160 * row : 160 * row + 512] for row in range(108)])
    real, imaginary = (rows @ numbers[f"0.stft.conv_{part}.weight"].squeeze(1).double().numpy().T for part in ("real", "imag"))
    decibels = 10 * np.log10(np.maximum((real**2 + imaginary**2) @ numbers["1.melW"].double().numpy(), 1e-10))
    expected = np.maximum(decibels, decibels.max() - 80) / 10 + 2
    assert np.abs(found.values[:108].numpy() - expected).max() < 1e-3


def test_frames_are_made_once_per_data_set(monkeypatch):
    asked = []
    monkeypatch.setattr(speech_embedding, "published", lambda name: asked.append(name) or front())
    raw = Raw({"audio": waves([3000, 2000])}, torch.zeros(2, dtype=torch.int64), ("any",), "any", rate=8000)
    pools = [Pool("clips", raw, "two clips of 8 kHz", torch.arange(2))]
    form = SpeechEmbedding.format(pools, {}, weights=None, pool="mean")
    assert (form.spec.bands, form.spec.rate) == (32, 16000)
    (first, notes), (second, _) = form(pools[0]), form(pools[0])
    assert asked == ["melspectrogram"] and torch.equal(first.values, second.values)
    assert first.lengths.tolist() == [108, 108] and notes["resampled"] == 2
    # Waves cut to another length are another form.
    other = SpeechEmbedding.format(pools, {"seconds": 0.1})
    assert other.spec != form.spec and not torch.equal(other(pools[0])[0].values, first.values)


def test_initialisers_are_read_as_onnx_reads_them():
    onnx = pytest.importorskip("onnx")
    values = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float32(2.5).reshape(()),
        "c": np.ones(300, np.float32),
    }
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    tensors.append(onnx.numpy_helper.from_array(np.array([1, 2]), "whole numbers"))
    node = onnx.helper.make_node("Identity", ["a"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "graph", [], [result], tensors))
    found = initialisers(model.SerializeToString())
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert found[name].shape == value.shape and np.array_equal(found[name].numpy(), value)


@pytest.mark.slow
def test_the_front_end_is_the_published_one():
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    found = log_mel(waves([17632]), published("melspectrogram"))
    given = (waves([17632]).values * 32768)[None].numpy()
    model = evaluator(str(WEIGHTS.member(f"{FOLDER}/melspectrogram.onnx")))
    expected = model.run(None, {"input": given})[0].squeeze() / 10 + 2
    assert np.abs(found.values.numpy() - expected).max() < 1e-4


@pytest.mark.slow
def test_the_network_is_the_published_one():
    onnx, reference = pytest.importorskip("onnx"), pytest.importorskip("onnx.reference")
    model = onnx.load(str(WEIGHTS.member(f"{FOLDER}/embedding_model.onnx")))
    # onnx's evaluator takes batch normalisation below version 14 for that of training. Nothing else differs here.
    model.opset_import[0].version = 14
    given = frames([76, 76]).values
    expected = reference.ReferenceEvaluator(model).run(None, {"input_1": given[..., None].numpy()})[0].reshape(2, 96)
    with torch.no_grad():
        encoder = SpeechEmbedding(SPEC).eval()
        found = encoder(Sequences(given, torch.ones(2, 76, dtype=torch.bool))).values[:, 0].numpy()
    assert np.abs(expected).max() > 5 and np.abs(found - expected).max() < 1e-4
