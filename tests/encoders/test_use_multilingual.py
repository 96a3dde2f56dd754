"""Frozen features of the multilingual sentence encoder: which rows, in which order, and how often they are computed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xlearn.data.modalities import Pool
from xlearn.data.task import VectorSpec
from xlearn.data.tasks import Raw
from xlearn.encoders import use_multilingual
from xlearn.encoders.use_multilingual import UseMultilingual
from xlearn.networks.network import blocks
from xlearn.runtime.errors import Problem

SPEC = VectorSpec(512, "universal-sentence-encoder-multilingual-3")


def pool(texts: list[str], fingerprint: str, present: list[bool] | None = None) -> Pool:
    there = {} if present is None else {"text": torch.tensor(present)}
    raw = Raw({"text": texts}, torch.zeros(len(texts), dtype=torch.int64), ("any",), "any", present=there)
    return Pool("reviews", raw, fingerprint, torch.arange(len(texts)))


@pytest.fixture
def seen(monkeypatch) -> list[str]:
    """The texts that a network in place of the real one was given: its features are the length of the text."""
    texts: list[str] = []

    def encode(given: list[str]) -> np.ndarray:
        texts.extend(given)
        return np.array([[len(text)] * 512 for text in given], dtype=np.float32)

    monkeypatch.setattr(
        use_multilingual, "_package", lambda: SimpleNamespace(USE=lambda threads: SimpleNamespace(encode=encode))
    )
    return texts


def test_each_row_has_the_features_of_its_text(seen):
    texts = ["abc", "a", "abcde", "a"] * 100
    column, notes = UseMultilingual.format([], {})(pool(texts, "in order"))
    assert column.shape == (400, 512) and column.dtype == torch.float32 and notes == {}
    assert column[:, 0].tolist() == [3, 1, 5, 1] * 100 and seen == ["a", "abc", "abcde"]


def test_features_are_computed_once_per_data_set(seen):
    form = UseMultilingual.format([], {})
    first, _ = form(pool(["b", "bb"], "once"))
    second, _ = form(pool(["b", "bb"], "once"))
    assert torch.equal(first, second) and len(seen) == 2
    form(pool(["b", "bbb"], "other data"))
    assert len(seen) == 4


def test_missing_texts_have_zeros_and_empty_ones_are_told(seen):
    form = UseMultilingual.format([], {})
    column, _ = form(pool(["c", "", "cc"], "missing", [True, False, True]))
    assert column[:, 0].tolist() == [1, 0, 2]
    with pytest.raises(Problem, match="reviews: 2 of its texts are empty.*row 1 "):
        form(pool(["d", "", " "], "empty"))


def test_the_encoder_passes_features_on():
    encoder = UseMultilingual(SPEC)
    given = torch.randn(3, 512)
    tokens = encoder(given)
    assert encoder.width == 512 and torch.allclose(tokens.values[:, 0], given * 512**0.5) and tokens.mask is None
    assert not encoder.state_dict() and blocks(encoder, "encoder.text.") == []
    assert UseMultilingual.format([], {}).spec == SPEC


@pytest.mark.slow
def test_a_translation_is_nearer_than_another_sentence():
    texts = ["The hotel was very clean.", "酒店很干净。", "Das Hotel war sehr sauber.", "I lost my train ticket."]
    column, _ = UseMultilingual.format([], {})(pool(texts, "translations"))
    likeness = column @ column.t()
    assert torch.allclose(column.norm(dim=1), torch.ones(4), atol=1e-4)
    assert float(likeness[0, 1:3].min()) > 0.6 > 0.4 > float(likeness[0, 3])
