"""Every model type of transformers that a small configuration can be made of: it works whatever the batch, or it is refused."""

import numpy
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore")
transformers = pytest.importorskip("transformers")

from toys.published import (  # noqa: E402  (transformers may be missing)
    TYPES,
    audio_encoder,
    dependence,
    outcome,
    small,
    some_texts,
    some_waves,
    text_encoder,
)

from xlearn.data.columns import Sequences  # noqa: E402
from xlearn.encoders.unpadded import by_length, tried  # noqa: E402
from xlearn.runtime.errors import Problem  # noqa: E402

# Of each way in which a text model can depend on its batch, and some that do not.
TEXTS = {
    "bert": False, "roberta": False, "gpt2": False, "t5": False, "mamba": False, "big_bird": False, "jamba": False,
    "qwen3_5": False, "squeezebert": False, "fsmt": False, "codegen": None, "fnet": True, "convbert": True, "canine": True,
    "nystromformer": True, "yoso": True, "reformer": None, "clip": None, "bros": None, "dpr": None,
}  # fmt: skip
WAVES = {
    "wav2vec2": ({}, True),
    "wav2vec2 normalised by layer": ({"feat_extract_norm": "layer"}, False),
    "wav2vec2 with an adapter": ({"feat_extract_norm": "layer", "add_adapter": True, "output_hidden_size": 12}, True),
    "wav2vec2-conformer": ({"feat_extract_norm": "layer"}, True),
    "data2vec-audio": ({}, True),
    "sew": ({}, True),
    "sew-d": ({}, True),
    "unispeech-sat": ({"feat_extract_norm": "layer"}, False),
    "hubert": ({"feat_extract_norm": "layer"}, False),
}


@pytest.mark.parametrize("kind", list(TEXTS))
def test_a_text_gives_the_same_whatever_its_batch(kind, tmp_path):
    if TEXTS[kind] is None:
        with pytest.raises(Problem, match=r"encoder.text.length=40: .* cannot read texts .*Choose another text encoder"):
            text_encoder(small(kind), tmp_path)
        return
    encoder = text_encoder(small(kind), tmp_path)
    assert encoder.by_length is TEXTS[kind] and encoder.training
    assert dependence(encoder, some_texts()) < 1e-4
    # Without it the law would not hold.
    if encoder.by_length:
        encoder.by_length = False
        assert kind == "canine" or dependence(encoder, some_texts()) > 1e-3


@pytest.mark.parametrize("name", list(WAVES))
def test_a_clip_gives_the_same_whatever_its_batch(name, tmp_path):
    changes, by_length = WAVES[name]
    config = small(name.split()[0])
    for key, value in changes.items():
        setattr(config, key, value)
    encoder = audio_encoder(config, tmp_path)
    assert encoder.by_length is by_length and encoder.width == changes.get("output_hidden_size", 16)
    assert dependence(encoder, some_waves()) < 1e-4


@pytest.mark.parametrize(("kind", "build"), [("fnet", "text"), ("big_bird", "text"), ("wav2vec2-conformer", "audio")])
def test_the_trial_changes_nothing(kind, build, tmp_path):
    encoder = text_encoder(small(kind), tmp_path) if build == "text" else audio_encoder(small(kind), tmp_path)
    inputs = some_texts().take(torch.arange(5)) if build == "text" else some_waves().take(torch.arange(5))
    encoder.model.eval()  # parts may be in another mode than the whole
    modes = [each.training for each in encoder.modules()]
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    drawn, also = torch.get_rng_state(), numpy.random.get_state()[1].copy()
    values = inputs.values.long() if build == "text" else inputs.values
    tried(encoder, encoder._padded, encoder._unpadded, values[:1], [values[1:2, : encoder.least + 5]])
    assert torch.equal(drawn, torch.get_rng_state()) and (also == numpy.random.get_state()[1]).all()
    assert [each.training for each in encoder.modules()] == modes
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in before.items())


def test_what_is_zero_at_the_start_does_not_hide_what_padding_does():
    """Padding changes the tokens only once the scale of a branch is trained."""

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(()))

        def read(self, x):
            values = torch.stack([x, x.square()], 2)
            return values + self.scale * values.mean(1, keepdim=True)

        def padded(self, given):
            return Sequences(self.read(given.values), given.mask)

    module = Hidden()
    found = tried(module, module.padded, module.read, torch.arange(1.0, 13)[None], [torch.tensor([[3.0, 1, 2]])])
    assert found == (2, True) and float(module.scale.detach()) == 0


def test_by_length_trains_every_input_once_and_refuses_recorded_outputs():
    layer = torch.nn.Linear(1, 3)
    inputs, lengths = torch.arange(12.0).reshape(4, 3), torch.tensor([2, 0, 3, 2])
    values, mask = by_length(layer, lambda part: layer(part.unsqueeze(2)), inputs, lengths, 3)
    assert mask.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 1, 0]] and not values[~mask].any()
    torch.testing.assert_close(values[mask], layer(inputs.unsqueeze(2))[mask])
    values.sum().backward()
    assert layer.bias.grad.tolist() == [7.0, 7.0, 7.0]
    nothing = by_length(layer, lambda part: layer(part.unsqueeze(2)), inputs, torch.zeros(4).long(), 3)
    assert nothing.values.shape == (4, 1, 3) and not nothing.mask.any()
    layer.register_forward_hook(lambda *given: None)
    with pytest.raises(Problem, match="one length after the other"):
        by_length(layer, lambda part: layer(part.unsqueeze(2)), inputs, lengths, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "least"), [("text", 260), ("audio", 9)])
def test_every_type_works_whatever_its_batch_or_is_refused(modality, least, tmp_path):
    """274 types of text models and 9 of audio models worked with transformers 5.24; other versions know other types."""
    found = {kind: outcome(kind, modality, tmp_path / kind) for kind in TYPES}
    assert sum(each == "works" for each in found.values()) >= (least if len(TYPES) > 600 else 9)
