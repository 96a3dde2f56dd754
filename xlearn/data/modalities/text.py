"""Texts as token numbers, by one tokeniser for all tasks of a run; a piece of a text is a token."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xlearn.data.columns import Column, Inputs, Ragged, Sequences
from xlearn.data.modalities import Modality, Pool
from xlearn.data.modalities.pieces import Cut, Noise, PieceOptions, drawn
from xlearn.data.modalities.tokenizer import encode, texts_of
from xlearn.data.modalities.vocabulary import byte_pairs, characters
from xlearn.data.options import TextOptions
from xlearn.runtime.code import code_digest
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.hashing import digest
from xlearn.runtime.storage import kept

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULTS: Mapping[str, Any] = asdict(TextOptions())
TOKENIZERS = ("bpe", "characters")


@dataclass(frozen=True)
class TextSpec(Modality):
    """Texts as token numbers `int32 [length]`, 0 to `vocabulary - 1`, at most `length` of them.

    `tokenizer` identifies the tokeniser: a digest of its vocabulary and rules, or the name of a published one. `unknown` is the
    number of the unknown token: 1 in all tokenisers that xlearn learns, None without one.
    """

    vocabulary: int
    length: int
    tokenizer: str
    unknown: int | None = 1

    noise_unit = "of the tokens made unknown"
    augmented = True

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> "TextFormat":
        return fit(pools, options)

    @property
    def hide(self) -> Callable[..., Inputs] | None:
        """`token_dropout`; None without an unknown token."""
        if (unknown := self.unknown) is None:
            return None

        def hide(given: Inputs, share: float, generator: torch.Generator) -> Inputs:
            assert isinstance(given, Sequences)
            return without_tokens(given, unknown, share, generator)

        return hide

    @property
    def noise(self) -> Callable[..., Tensor] | None:
        """The share `level` of the tokens becomes unknown; None without an unknown token."""
        if (unknown := self.unknown) is None:
            return None

        def noise(values: Tensor, level: float, generator: torch.Generator) -> Tensor:
            return values.masked_fill(torch.rand(values.shape, generator=generator) < level, unknown)

        return noise

    def pieces(self, columns: Sequence[Column], options: PieceOptions) -> "Words":
        """Raises `Problem` if tokens are to be masked, and none stands for what is unknown."""
        if options.masks and self.unknown is None:
            raise Problem(
                f"{options.method} masks tokens, but this tokeniser ({self.tokenizer}) has no unknown token. Choose another "
                "encoder/text, e.g. lstm, or pretrain=autoencoder, which masks nothing."
            )
        return Words(self)

    def lacks_unknown(self, token: int) -> bool:
        return self.unknown != token


@dataclass(frozen=True)
class TextFormat:
    """Token numbers by `tokenizer`. Two formats with the same `spec` give the same numbers."""

    spec: TextSpec
    tokenizer: "Tokenizer"

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        """int32 token numbers of all rows; a row without text gets a single 0. See `encode` for notes and errors."""
        return encode_once(pool, self.tokenizer, self.spec)


def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> TextFormat:
    """A tokeniser learned from the training rows of all pools. Number 0 is padding, 1 is unknown.

    `tokenizer`: `bpe` merges frequent pairs (Sennrich et al., ACL 2016) within words; every Chinese character is a word,
    adjacent punctuation marks stay together, a space is part of the word after it. `characters` makes every character a token.
    `vocabulary`: the largest number of tokens, including padding and unknown. `length`: longer texts are cut off. `lowercase`:
    whether case is dropped. Texts are normalised to NFKC, and white space to single spaces.
    """
    given = _checked(options)
    learn = byte_pairs if given["tokenizer"] == "bpe" else characters
    tokenizer = learn([_training(pool) for pool in pools], given["vocabulary"], given["lowercase"])
    rules = hashlib.blake2b(tokenizer.to_str().encode(), digest_size=8).hexdigest()
    return TextFormat(TextSpec(tokenizer.get_vocab_size(), given["length"], rules), tokenizer)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    for key in options:
        if key not in DEFAULTS:
            raise Problem(f"text.{key}: texts have no such setting. {nearest(key, DEFAULTS)}")
    given = {**DEFAULTS, **options}
    if given["tokenizer"] not in TOKENIZERS:
        raise Problem(
            f"text.tokenizer={given['tokenizer']}: there is no such tokeniser. {nearest(given['tokenizer'], TOKENIZERS)}"
        )
    for key, least, fix in (
        ("vocabulary", 3, "give a number of tokens of 3 or more (two of them are padding and unknown)"),
        ("length", 1, "give a number of tokens of 1 or more"),
    ):
        if not isinstance(given[key], int) or isinstance(given[key], bool) or given[key] < least:
            raise Problem(f"text.{key}={given[key]}: {fix}.")
    if not isinstance(given["lowercase"], bool):
        raise Problem(f"text.lowercase={given['lowercase']}: give true or false.")
    return given


def _training(pool: Pool) -> list[str]:
    texts = texts_of(pool)
    return [texts[row] for row in pool.train.tolist()]


def encode_once(pool: Pool, tokenizer: "Tokenizer", spec: TextSpec) -> tuple[Ragged, dict[str, Any]]:
    """`encode` for the texts of a pool, kept on disk. `spec.tokenizer` must identify the tokeniser."""

    raw = pool.raw
    texts, columns = raw.inputs["text"], raw.text_columns
    assert isinstance(texts, list)

    def make() -> dict[str, Tensor]:
        there = raw.present.get("text")
        found, notes = encode(
            texts,
            tokenizer,
            spec.length,
            task=pool.name,
            present=there,
            columns=columns,
            names=raw.names,
            skip_bad=raw.skip_bad,
        )
        cut = [notes.get("truncated_columns", {}).get(name, 0) for name in columns]
        truncated = torch.tensor([notes.get("truncated", 0), *cut])
        unread = torch.tensor(notes.get("unread", []), dtype=torch.int64)
        return {"numbers": found.values, "offsets": found.offsets, "truncated": truncated, "unread": unread}

    key = digest(["text", code_digest(__name__), pool.fingerprint, asdict(spec), version("tokenizers")], 16)
    kept_columns = kept(key, make)
    truncated, *cut = kept_columns["truncated"].tolist()
    notes: dict[str, Any] = {"truncated": truncated, "longest": spec.length} if truncated else {}
    if len(kept_columns["unread"]):
        notes["unread"] = kept_columns["unread"].tolist()
    if any(cut):
        notes["truncated_columns"] = {name: count for name, count in zip(columns, cut, strict=True) if count}
    return Ragged(kept_columns["numbers"], kept_columns["offsets"]), notes


def without_tokens(texts: Sequences, unknown: int, share: float, generator: torch.Generator) -> Sequences:
    """Every token, but no padding, replaced by the number `unknown` with probability `share`."""
    # In single precision, drawn uniformly from [0, 1): a share of 0 replaces none.
    chosen = (torch.rand(texts.values.shape, generator=generator) < share).to(texts.values.device) & texts.mask
    return Sequences(texts.values.masked_fill(chosen, unknown), texts.mask)


@dataclass(frozen=True)
class Words:
    """Tokens, each a piece. Unknown tokens are not reconstructed; masked tokens become the unknown token."""

    spec: TextSpec

    @property
    def places(self) -> int:
        return self.spec.length

    @property
    def size(self) -> int:
        return self.spec.vocabulary

    def cut(self, given: Inputs) -> Cut:
        assert isinstance(given, Sequences)
        return Cut(given.values.long(), given.mask & (given.values != (-1 if self.spec.unknown is None else self.spec.unknown)))

    def hide(self, given: Inputs, hidden: Tensor) -> Inputs:
        assert isinstance(given, Sequences) and self.spec.unknown is not None
        return Sequences(given.values.masked_fill(hidden, self.spec.unknown), given.mask)

    def disturb(self, given: Inputs, there: Tensor, noise: Noise) -> Inputs:
        """Tokens have no Gaussian noise: `round(share n)` of them become unknown."""
        return self.hide(given, drawn(there, (noise.share * there.sum(1)).round().long()))
