"""wav2vec 2.0 and its kin, on tiny ones saved here: values, padding, blocks and the form of the waves."""

import copy

import pytest
import torch
from toys.runs import everything_words

from xlearn.commands.check import main
from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.task import AudioSpec
from xlearn.data.tasks import Raw
from xlearn.encoders.hf_audio import HuggingFaceAudio
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
transformers = pytest.importorskip("transformers")

SPEC = AudioSpec(0, 16000, "waves")
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": (8, 8, 8),
    "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 2), "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.fixture(scope="module", params=["Wav2Vec2-layer", "Wav2Vec2-group", "Hubert-layer", "WavLM-group", "WavLM-layer"])
def saved(request, tmp_path_factory):
    """(folder, the model in it): tiny, with time masking and layer drop as published."""
    kind, norm = request.param.split("-")
    folder = str(tmp_path_factory.mktemp(request.param))
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, feat_extract_norm=norm)
    model = getattr(transformers, f"{kind}Model")(config)
    model.save_pretrained(folder)
    return folder, model.eval()


def waves(lengths: list[int]) -> Sequences:
    generator = torch.Generator().manual_seed(0)
    return Ragged.of([torch.randn(length, generator=generator) for length in lengths]).take(torch.arange(len(lengths)))


def test_each_clip_gives_what_it_gives_alone(saved):
    folder, model = saved
    encoder = HuggingFaceAudio(SPEC, name=folder, pool="none").eval()
    mean = HuggingFaceAudio(SPEC, name=folder).eval()
    given = waves([400, 230, 300])
    with torch.no_grad():
        tokens, pooled = encoder(given), mean(given)
        for row, length in enumerate([400, 230, 300]):
            alone = model(given.values[row : row + 1, :length]).last_hidden_state[0]
            assert int(tokens.mask[row].sum()) == len(alone)
            assert torch.allclose(tokens.values[row, : len(alone)], alone, atol=1e-5)
            assert torch.allclose(pooled.values[row, 0], alone.mean(0), atol=1e-5)
    assert pooled.mask.tolist() == [[True]] * 3 and encoder.width == 16


def test_training_is_the_same_for_the_same_seed_and_reaches_every_parameter(saved):
    folder, _ = saved
    encoder, given = HuggingFaceAudio(SPEC, name=folder), waves([400, 230, 0])
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        found.append(encoder(given))
    assert encoder.training and torch.equal(found[0].values, found[1].values)
    assert found[0].mask.tolist() == [[True], [True], [False]]
    found[1].values.square().sum().backward()
    for name, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.isfinite().all()), name


def test_a_clip_shorter_than_a_frame_and_an_empty_batch_of_clips_are_read(saved):
    folder, _ = saved
    encoder = HuggingFaceAudio(SPEC, name=folder)
    assert encoder(waves([3])).mask.tolist() == [[True]]
    tokens = encoder(Sequences(torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.bool)))
    assert bool(tokens.values.isfinite().all()) and tokens.mask.tolist() == [[False], [False]]


def test_random_weights_make_the_same_network_with_the_same_blocks(saved):
    folder, _ = saved
    random, published = (HuggingFaceAudio(SPEC, name=folder, weights=each) for each in (None, "published"))
    copied = copy.deepcopy(random)
    copied.load_state_dict(published.state_dict())
    assert torch.equal(copied.eval()(waves([300])).values, published.eval()(waves([300])).values)
    found = blocks(random, "encoder.audio.")
    within = "encoder.audio.model."
    assert [block[0] for block in found] == [
        f"{within}feature_extractor.", f"{within}feature_projection.", f"{within}encoder.pos_conv_embed.",
        f"{within}encoder.layers.0.", f"{within}encoder.layers.1.",
    ]  # fmt: skip


def test_the_form_is_what_the_feature_extractor_says(tmp_path, saved):
    folder, model = saved
    raw = Raw({"audio": waves_column([800, 700])}, torch.zeros(2, dtype=torch.int64), ("any",), "any", rate=8000)
    pools = [Pool("clips", raw, "two clips", torch.arange(2))]
    form = HuggingFaceAudio.format(pools, {}, name=folder, pool="mean", weights=None)
    column, _ = form(pools[0])
    assert form.spec.rate == 16000 and form.spec.bands == 0 and column.lengths.tolist() == [1600, 1400]
    for row in range(2):
        wave = column.subset(torch.tensor([row])).values
        assert abs(float(wave.mean())) < 1e-4 and abs(float(wave.std(correction=0)) - 1) < 1e-3
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=False).save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path)
    form = HuggingFaceAudio.format(pools, {}, name=str(tmp_path))
    assert form.spec.rate == 8000 and torch.equal(form(pools[0])[0].values, raw.inputs["audio"].values)


def waves_column(lengths: list[int]) -> Ragged:
    generator = torch.Generator().manual_seed(1)
    return Ragged.of([0.1 * torch.randn(length, generator=generator) for length in lengths])


def test_a_model_of_texts_is_refused(tmp_path):
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(Problem, match="BertModel does not read waves"):
        HuggingFaceAudio(SPEC, name=str(tmp_path))


def test_a_model_that_is_not_here_and_transformers_missing_are_told(monkeypatch):
    with pytest.raises(Problem, match=r"encoder.audio.name=nobody/nothing: .*name=FOLDER"):
        HuggingFaceAudio(SPEC, name="nobody/nothing")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(Problem, match=r"pip install 'xlearn\[hf\]'"):
        HuggingFaceAudio(SPEC, name="nobody/nothing")


def test_a_run_carries_its_weights_over(saved, tmp_path, capsys):
    words = everything_words(tmp_path, ["audio"], ["audio"])
    given = [f"encoder.audio.name={saved[0]}", "pretrain=none", "transfer=linear_probe"]
    assert main([*words, "encoder/audio=hf_audio", *given]) == 0, capsys.readouterr().err
