"""Texts as token numbers, by one tokeniser for all tasks of a run, learned from their training rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xlearn.data.columns import Ragged
from xlearn.data.modalities import Pool
from xlearn.data.modalities.tokenizer import encode_once, texts_of
from xlearn.data.options import TextOptions
from xlearn.data.task import TextSpec
from xlearn.runtime.errors import Problem, nearest

if TYPE_CHECKING:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

DEFAULTS: Mapping[str, Any] = asdict(TextOptions())
TOKENIZERS = ("bpe", "characters")
# Numbers 0 and 1. The library does not treat them as special tokens: a text with these words is split like any other.
PADDING, UNKNOWN = "[PAD]", "[UNK]"
# The share of all characters that the alphabet of `bpe` covers. The rarest are unknown, which leaves room for merges.
COVERAGE = 0.9995
SPACE = "\u2581"


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
    learn = _bpe if given["tokenizer"] == "bpe" else _characters
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


def _normalizer(lowercase: bool) -> "normalizers.Normalizer":
    from tokenizers import Regex, normalizers

    plain = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=lowercase)
    return normalizers.Sequence([normalizers.NFKC(), plain, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])


def _normalised(texts: list[str], normalizer: "normalizers.Normalizer") -> list[str]:
    return [normalizer.normalize_str(text) for text in texts]


def _splitting() -> "pre_tokenizers.PreTokenizer":
    from tokenizers import Regex, pre_tokenizers

    space = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    alone = pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")
    # The mark of a space is a symbol too, but must stay with its word. Each digit is a word, because numbers are unlimited.
    marks = pre_tokenizers.Split(Regex(rf"[^\p{{L}}\p{{M}}\p{{N}}{SPACE}]+|\p{{N}}"), "isolated")
    return pre_tokenizers.Sequence([space, alone, marks])


def _alphabet(pools: Sequence[Sequence[str]], most: int, coverage: float) -> list[str]:
    """The most frequent characters that cover this share of every pool's, at most `most`. Ties follow the code point.

    Pools count equally, so that a large English one does not displace the Chinese of a small one. The library itself would
    break ties differently in every process.
    """
    highest: dict[str, float] = {}
    for texts in pools:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        needed = coverage * counts.total()
        for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if needed <= 0:
                break
            highest[character] = max(highest.get(character, 0.0), count / counts.total())
            needed -= count
    return sorted(highest, key=lambda character: (-highest[character], character))[:most]


def _bpe(pools: list[list[str]], vocabulary: int, lowercase: bool) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    normalizer, splitting = _normalizer(lowercase), _splitting()
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitting
    spaced = [[SPACE + text.replace(" ", SPACE) for text in _normalised(texts, normalizer)] for texts in pools]
    alphabet = _alphabet(spaced, vocabulary - 2, COVERAGE)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PADDING, UNKNOWN],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for texts in pools for text in texts), trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    # Built anew, because the library looks for special tokens within texts.
    built = Tokenizer(models.BPE(learned["vocab"], merges, unk_token=UNKNOWN))
    built.normalizer, built.pre_tokenizer = normalizer, splitting
    built.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return built


def _characters(pools: list[list[str]], vocabulary: int, lowercase: bool) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    normalizer = _normalizer(lowercase)
    chosen = _alphabet([_normalised(texts, normalizer) for texts in pools], vocabulary - 2, 1.0)
    numbers = {token: number for number, token in enumerate([PADDING, UNKNOWN, *chosen])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
