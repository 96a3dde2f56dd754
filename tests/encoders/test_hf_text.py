"""Text encoders of Hugging Face, on tiny ones saved here: values, blocks, padding, and what is told when one is missing."""

import copy
import time

import pytest
import torch
from toys.runs import everything_words

from xlearn.commands.check import main
from xlearn.data.columns import Sequences
from xlearn.data.modalities import Pool
from xlearn.data.task import TextSpec
from xlearn.data.tasks import Raw
from xlearn.encoders.hf import HuggingFaceText
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "film", "book"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = {
    "Bert": ({**SIZES, "max_position_embeddings": 12}, "encoder.layer"),
    "Roberta": ({**SIZES, "max_position_embeddings": 14, "pad_token_id": 1}, "encoder.layer"),
    "DistilBert": (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 12},
        "transformer.layer",
    ),
}
GIVEN = Sequences(
    torch.tensor([[2, 4, 5, 7, 3], [2, 8, 3, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.int32),
    torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool),
)


@pytest.fixture(scope="module", params=list(KINDS))
def saved(request, tmp_path_factory):
    """(folder, the model in it, where its layers are) of a tiny model with its tokeniser."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = str(tmp_path_factory.mktemp(request.param))
    settings, layers = KINDS[request.param]
    torch.manual_seed(0)
    model = getattr(transformers, f"{request.param}Model")(
        getattr(transformers, f"{request.param}Config")(vocab_size=len(WORDS), bos_token_id=2, eos_token_id=3, **settings)
    )
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    return folder, model.eval(), layers


def spec(length: int = 5) -> TextSpec:
    return TextSpec(len(WORDS), length, "any")


def test_the_published_network_is_loaded(saved):
    folder, model, _ = saved
    encoder = HuggingFaceText(spec(), name=folder, length=5, pool="none").eval()
    with torch.no_grad():
        expected = model(input_ids=GIVEN.values[:2].long(), attention_mask=GIVEN.mask[:2].long()).last_hidden_state
        found = encoder(GIVEN).values[:2]
        mean = HuggingFaceText(spec(), name=folder, length=5).eval()(GIVEN)
        first = HuggingFaceText(spec(), name=folder, length=5, pool="cls").eval()(GIVEN)
    assert torch.allclose(found[GIVEN.mask[:2]], expected[GIVEN.mask[:2]], atol=1e-5)
    assert torch.allclose(mean.values[1, 0], expected[1, :3].mean(0), atol=1e-5)
    assert torch.allclose(first.values[:2, 0], expected[:, 0], atol=1e-5)
    assert mean.mask.tolist() == first.mask.tolist() == [[True], [True], [False]]


def test_random_weights_make_the_same_network(saved):
    folder, _, _ = saved
    random, published = (HuggingFaceText(spec(), name=folder, length=5, weights=each) for each in (None, "published"))
    shapes = {name: value.shape for name, value in published.state_dict().items()}
    assert {name: value.shape for name, value in random.state_dict().items()} == shapes
    assert not torch.equal(random(GIVEN).values, published(GIVEN).values)
    copied = copy.deepcopy(random)
    copied.load_state_dict(published.state_dict())
    assert torch.equal(copied.eval()(GIVEN).values, published.eval()(GIVEN).values)
    # The pooler, which nothing is learned through, is not part of it.
    assert not [name for name in shapes if "pooler" in name]


def test_every_parameter_learns_and_a_missing_text_is_finite(saved):
    folder, _, _ = saved
    tokens = (encoder := HuggingFaceText(spec(), name=folder, length=5))(GIVEN)
    assert encoder.training and encoder.width == 16 and tokens.values.isfinite().all()
    tokens.values.square().sum().backward()
    for name, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.isfinite().all()), name


def test_blocks_are_the_embedding_and_the_layers(saved):
    folder, _, layers = saved
    encoder = HuggingFaceText(spec(), name=folder, length=5)
    within = "encoder.text.model."
    assert blocks(encoder, "encoder.text.") == [
        [f"{within}embeddings."], [f"{within}{layers}.0."], [f"{within}{layers}.1."],
    ]  # fmt: skip
    assert blocks(copy.deepcopy(encoder), "") == blocks(encoder, "")


def test_texts_are_numbered_by_the_models_own_tokeniser(saved):
    folder, _, _ = saved
    form = HuggingFaceText.format([], {}, name=folder, length=5, weights=None, pool="mean")
    raw = Raw({"text": ["a good film", "a bad bad bad book"]}, torch.zeros(2, dtype=torch.int64), ("any",), "any")
    column, notes = form(Pool("reviews", raw, "fingerprint", torch.arange(2)))
    assert column.values.tolist() == [2, 4, 5, 7, 3, 2, 4, 6, 6, 3] and notes["truncated"] == 1
    assert form.spec.vocabulary == len(WORDS) and form.spec.length == 5
    assert form.spec == HuggingFaceText.format([], {}, name=folder, length=5).spec


def test_too_long_texts_and_foreign_tokens_are_told(saved):
    folder, _, _ = saved
    with pytest.raises(Problem, match="encoder.text.length=50: .* positions: set encoder.text.length lower"):
        HuggingFaceText(spec(50), name=folder, length=50)
    with pytest.raises(Problem, match="knows 9 tokens, the texts have 10"):
        HuggingFaceText(TextSpec(10, 5, "other"), name=folder, length=5)
    with pytest.raises(Problem, match="encoder.text.length=2"):
        HuggingFaceText.format([], {}, name=folder, length=2)


def test_a_model_that_is_not_here_is_told_at_once():
    before = time.perf_counter()
    with pytest.raises(Problem, match=r"encoder.text.name=nobody/nothing: .*save_pretrained\('FOLDER'\).*name=FOLDER"):
        HuggingFaceText.format([], {}, name="nobody/nothing")
    assert time.perf_counter() - before < 5


def test_a_file_without_all_parameters_is_refused(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, model, _ = saved
    model.config.save_pretrained(tmp_path)
    state = load_file(f"{folder}/model.safetensors")
    lost = next(name for name in state if "weight" in name and "layer" in name)
    save_file({name: value for name, value in state.items() if name != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(Problem, match="lacks 1 parameters of its network, such as"):
        HuggingFaceText(spec(), name=str(tmp_path), length=5)


def test_transformers_missing_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(Problem, match=r"pip install 'xlearn\[hf\]'"):
        HuggingFaceText.format([], {}, name="bert-base-uncased")


def test_a_run_carries_its_weights_over(saved, tmp_path, capsys):
    words = everything_words(tmp_path, ["text"], ["text"])
    given = [f"encoder.text.name={saved[0]}", "encoder.text.length=8", "pretrain=none", "transfer=linear_probe"]
    assert main([*words, "encoder/text=hf", *given]) == 0, capsys.readouterr().err
