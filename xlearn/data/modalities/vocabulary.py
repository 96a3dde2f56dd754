"""Tokenisers learned from texts with the `tokenizers` library: byte-pair encoding, and characters."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

# Numbers 0 and 1. The library does not treat them as special tokens: a text with these words is split like any other.
PADDING, UNKNOWN = "[PAD]", "[UNK]"
# The share of all characters that the alphabet of `bpe` covers. The rarest are unknown, which leaves room for merges.
COVERAGE = 0.9995
SPACE = "\u2581"


def normalizer_of(lowercase: bool) -> "normalizers.Normalizer":
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


def byte_pairs(pools: list[list[str]], vocabulary: int, lowercase: bool) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    normalizer, splitting = normalizer_of(lowercase), _splitting()
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


def characters(pools: list[list[str]], vocabulary: int, lowercase: bool) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    normalizer = normalizer_of(lowercase)
    chosen = _alphabet([_normalised(texts, normalizer) for texts in pools], vocabulary - 2, 1.0)
    numbers = {token: number for number, token in enumerate([PADDING, UNKNOWN, *chosen])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
