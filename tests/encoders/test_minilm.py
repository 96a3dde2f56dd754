"""all-MiniLM-L6-v2 against transformers' BertModel, with random weights here and the published ones in a slow test."""

import copy

import pytest
import torch

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.task import TextSpec
from xlearn.data.tasks import Raw
from xlearn.encoders.minilm import FOLDER, WEIGHTS, MiniLm
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

SPEC = TextSpec(30522, 16, "all-MiniLM-L6-v2", 100)
TEXTS = ["A cat sat on the mat.", "A kitten lay on the rug.", "Shares fell sharply in early trading on Monday. " * 20]


def batch(lengths: list[int], seed: int = 0) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    numbers = [torch.randint(1, 30522, (length,), generator=generator, dtype=torch.int32) for length in lengths]
    return Ragged.of(numbers).take(torch.arange(len(lengths)))


def compare(encoder: MiniLm, model: torch.nn.Module, given: Sequences) -> float:
    encoder.eval(), model.eval()
    with torch.no_grad():
        expected = model(input_ids=given.values.long(), attention_mask=given.mask.long()).last_hidden_state
        found = encoder(given)
    assert float(expected.std()) > 0.1
    return float((found.values - expected)[given.mask].abs().max())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_minilm_is_a_bert():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = transformers.BertModel(config)
    encoder = MiniLm(SPEC, weights=None, pool="none")
    encoder.load_published({name: value + 0.02 * torch.randn_like(value) for name, value in model.state_dict().items()})
    assert compare(encoder, model, batch([16, 5, 1])) > 1e-2  # other weights, other values
    encoder.load_published(model.state_dict())
    assert compare(encoder, model, batch([16, 5, 1])) < 1e-5


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_an_example_without_tokens_is_finite_and_masked(pool):
    torch.manual_seed(0)
    encoder = MiniLm(SPEC, weights=None, pool=pool)
    given = batch([6, 3])
    given.mask[1] = False
    tokens = encoder(given)
    assert encoder.width == 384 and tokens.values.shape == (2, 1 if pool == "mean" else 6, 384)
    assert tokens.mask is not None and tokens.mask.any(1).tolist() == [True, False]
    tokens.values.square().sum().backward()
    for name, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.isfinite().all()) and bool(value.grad.any()), name


def test_the_mean_is_over_the_tokens_of_the_text():
    torch.manual_seed(0)
    encoder = MiniLm(SPEC, weights=None).eval()
    given = batch([9, 4])
    with torch.no_grad():
        together = encoder(given).values
        alone = encoder(Sequences(given.values[1:, :4], given.mask[1:, :4])).values
        encoder.pool = "none"
        tokens = encoder(given).values
    assert torch.allclose(together[1], alone[0], atol=1e-5)
    assert torch.allclose(together[1, 0], tokens[1, :4].mean(0), atol=1e-5)


def test_blocks_are_the_embedding_and_the_layers():
    encoder = MiniLm(SPEC, weights=None)
    expected = [["encoder.text.embedding."], *([f"encoder.text.layers.{number}."] for number in range(6))]
    assert blocks(encoder, "encoder.text.") == expected
    copied = copy.deepcopy(encoder)
    copied.load_state_dict(encoder.state_dict())
    # Published: 22,713,216, of which the pooler has 147,840 and the two segments 768.
    assert sum(value.numel() for value in encoder.parameters()) == 22_713_216 - 147_840 - 768


@pytest.mark.parametrize(
    ("options", "told"),
    [({"length": 513}, "encoder.text.length=513"), ({"length": 2}, "encoder.text.length=2"), ({"dropout": 1.0}, "dropout=1.0")],
)
def test_wrong_values_are_told(options, told):
    with pytest.raises(Problem, match=told):
        MiniLm(SPEC, weights=None, **options)


def test_numbers_of_another_tokeniser_are_refused():
    with pytest.raises(Problem, match="30522 tokens, the texts have 100"):
        MiniLm(TextSpec(100, 16, "other"), weights=None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_minilm_with_its_published_weights():
    transformers = pytest.importorskip("transformers")
    form = MiniLm.format([], {}, length=64)
    raw = Raw({"text": TEXTS}, torch.zeros(3, dtype=torch.int64), ("any",), "any")
    column, notes = form(Pool("texts", raw, "fingerprint", torch.arange(3)))
    given = column.take(torch.arange(3))
    assert form.spec == TextSpec(30522, 64, "all-MiniLM-L6-v2", 100) and notes["truncated"] == 1
    assert given.values[:, 0].tolist() == [101] * 3 and int(given.values[2, 63]) == 102
    for file in ("model.safetensors", "tokenizer_config.json", "vocab.txt", "config.json"):
        folder = WEIGHTS.member(f"{FOLDER}/{file}").parent
    model = transformers.BertModel.from_pretrained(folder)
    words = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, truncation=True, max_length=64)["input_ids"]
    assert [row[mask].tolist() for row, mask in zip(given.values, given.mask, strict=True)] == words
    assert compare(MiniLm(form.spec, pool="none"), model, given) < 1e-5
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(MiniLm(form.spec).eval()(given).values[:, 0], dim=1)
    likeness = vectors @ vectors.t()
    assert float(likeness[0, 1]) > 0.5 > 0.2 > float(likeness[0, 2])
