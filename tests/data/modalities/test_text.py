"""Tokenisers: learned from training rows alone, the same every time, Chinese by character, honest about what is cut."""

import subprocess
import sys

import pytest
import torch

from xlearn.data.columns import Ragged
from xlearn.data.modalities import Pool, text, tokenizer
from xlearn.data.task import TextSpec
from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem

pytestmark = pytest.mark.usefixtures("own_cache")

ENGLISH = [
    "The quick brown fox jumps over the lazy dog.",
    "A quick fox, and a slow dog!",
    "Never was a dog so quick and so brown :)",
    "The dog barks; the fox runs away.",
]
CHINESE = ["酒店很好\uff0c早餐很好。", "房间不好\uff0c很小。", "酒店的早餐不好吃", "很好的酒店 wifi 很快"]


def pool(texts, train=None, present=None, name="toy"):
    given = {} if present is None else {"text": torch.tensor(present)}
    raw = Raw({"text": list(texts)}, torch.arange(len(texts)) % 2, ("a", "b"), "toy", present=given)
    return Pool(name, raw, repr((texts, present)), torch.arange(len(texts)) if train is None else torch.tensor(train))


def tokens(form, given):
    return form.tokenizer.encode(given).tokens


@pytest.mark.parametrize("kind", text.TOKENIZERS)
def test_only_training_rows_teach(kind):
    texts = [*ENGLISH, "zyzzyva zyzzyva zyzzyva ß", "zyzzyva ß"]
    seen, unseen = text.fit([pool(texts)], {"tokenizer": kind}), text.fit([pool(texts, [0, 1, 2, 3])], {"tokenizer": kind})
    known = "▁zyzzyva" if kind == "bpe" else "ß"
    assert known in seen.tokenizer.get_vocab() and known not in unseen.tokenizer.get_vocab()
    column, _ = unseen(pool(["zyzzyva ß"]))
    assert column.values[-1] == 1  # a character of no training row is unknown
    if kind == "bpe":
        assert len(tokens(unseen, "zyzzyva")) > len(tokens(seen, "zyzzyva")) == 1
    changed = text.fit([pool([*ENGLISH, "something", "else"], [0, 1, 2, 3])], {"tokenizer": kind})
    assert changed.spec == unseen.spec  # what stands in other rows is no matter


def test_every_pool_teaches():
    alone = text.fit([pool(ENGLISH)], {})
    both = text.fit([pool(ENGLISH), pool(CHINESE)], {})
    assert "酒" not in alone.tokenizer.get_vocab() and "酒" in both.tokenizer.get_vocab()
    # A small pool's characters are not pushed out by a large one's.
    large = text.fit([pool(ENGLISH * 500), pool(CHINESE)], {"vocabulary": 60})
    assert "酒" in large.tokenizer.get_vocab()


@pytest.mark.parametrize("kind", text.TOKENIZERS)
def test_the_same_texts_give_the_same_vocabulary(kind):
    first, second = (text.fit([pool(ENGLISH + CHINESE)], {"tokenizer": kind, "vocabulary": 40}) for _ in range(2))
    assert first.spec == second.spec and first.tokenizer.to_str() == second.tokenizer.to_str()
    code = f"""
import torch
from xlearn.data.modalities import Pool, text
from xlearn.data.tasks import Raw
texts = {ENGLISH + CHINESE!r}
raw = Raw({{"text": texts}}, torch.zeros(8).long(), ("a",), "toy")
print(text.fit([Pool("toy", raw, "", torch.arange(8))], {{"tokenizer": {kind!r}, "vocabulary": 40}}).spec.tokenizer)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == first.spec.tokenizer  # whatever the order of another process's hash tables


def test_settings_and_rules_tell_tokenisers_apart():
    settings = [{}, {"lowercase": False}, {"vocabulary": 50}, {"tokenizer": "characters"}, {"length": 9}]
    assert len({text.fit([pool(ENGLISH)], options).spec for options in settings}) == len(settings)


def test_chinese_by_character_english_by_parts_of_words():
    form = text.fit([pool(CHINESE * 3 + ENGLISH * 3)], {})
    assert tokens(form, "酒店很好") == ["▁", "酒", "店", "很", "好"]
    assert tokens(form, "the quick fox") == ["▁the", "▁quick", "▁fox"]
    assert tokens(form, "酒wifi店")[1] == "酒" and tokens(form, "酒wifi店")[-1] == "店"
    assert form.spec.vocabulary == form.tokenizer.get_vocab_size() and form.spec.length == 128


@pytest.mark.parametrize("kind", text.TOKENIZERS)
@pytest.mark.parametrize("given", [*ENGLISH, *CHINESE, "  two\n\t spaces\u3000here  "])
def test_round_trip(kind, given):
    form = text.fit([pool([*ENGLISH, *CHINESE, "two spaces here"])], {"tokenizer": kind, "lowercase": False})
    import unicodedata

    expected = " ".join(unicodedata.normalize("NFKC", given).split())
    column, _ = form(pool([given]))
    assert form.tokenizer.decode(column.values.tolist()) == expected


@pytest.mark.parametrize("kind", text.TOKENIZERS)
def test_case(kind):
    lower, kept = (text.fit([pool(ENGLISH)], {"tokenizer": kind, "lowercase": each}) for each in (True, False))
    assert tokens(lower, "The Dog") == tokens(lower, "the dog")
    assert tokens(kept, "The Dog") != tokens(kept, "the dog")


@pytest.mark.parametrize("kind", text.TOKENIZERS)
@pytest.mark.parametrize("vocabulary", [3, 10, 30, 4000])
def test_the_vocabulary_is_no_larger_than_asked(kind, vocabulary):
    form = text.fit([pool(ENGLISH + CHINESE)], {"tokenizer": kind, "vocabulary": vocabulary})
    numbers = form.tokenizer.get_vocab()
    assert form.spec.vocabulary == len(numbers) <= vocabulary
    assert sorted(numbers.values()) == list(range(len(numbers))) and numbers["[PAD]"] == 0 and numbers["[UNK]"] == 1
    column, _ = form(pool(ENGLISH + CHINESE))
    assert int(column.values.min()) >= 1 and int(column.values.max()) < form.spec.vocabulary


def test_words_that_look_special_are_words():
    form = text.fit([pool(["[PAD] and [UNK] are words"] * 3)], {})
    column, _ = form(pool(["[PAD] and [UNK]"]))
    assert 0 not in column.values.tolist() and 1 not in column.values.tolist()


def test_what_is_cut_off_is_counted():
    form = text.fit([pool(ENGLISH)], {"tokenizer": "characters", "length": 30})
    column, notes = form(pool(ENGLISH))
    whole, none = text.fit([pool(ENGLISH)], {"tokenizer": "characters"})(pool(ENGLISH))
    assert isinstance(column, Ragged) and column.values.dtype == torch.int32
    assert notes == {"truncated": int((whole.lengths > 30).sum()), "longest": 30} and none == {}
    assert column.lengths.tolist() == whole.lengths.clamp_max(30).tolist()
    for row in range(len(ENGLISH)):
        cut, full = column.take(torch.tensor([row])), whole.take(torch.tensor([row]))
        assert torch.equal(cut.values[0], full.values[0, : cut.values.shape[1]])
    assert form(pool(ENGLISH))[1] == notes  # from the disk


def test_many_texts_are_read_in_parts(monkeypatch):
    form = text.fit([pool(ENGLISH)], {})
    whole, _ = tokenizer.encode(ENGLISH, form.tokenizer, 20, task="toy")
    monkeypatch.setattr(tokenizer, "AT_ONCE", 3)
    parts, _ = tokenizer.encode(ENGLISH, form.tokenizer, 20, task="toy")
    assert torch.equal(whole.values, parts.values) and torch.equal(whole.offsets, parts.offsets)


def test_empty_texts_are_told_and_absent_ones_are_not():
    form = text.fit([pool(ENGLISH)], {})
    texts = ["the dog", "", " \n\t", "the fox"]
    with pytest.raises(Problem, match=r"shop: 2 texts have no token .* in rows 1, 2 \(counted from 0\). Remove them") as told:
        form(pool(texts, name="shop"))
    assert "present" in str(told.value)
    with pytest.raises(Problem, match="1 text has no token .* in row 2"):
        form(pool(texts, present=[True, False, True, True]))
    column, notes = form(pool([*texts[:3], "a long text is no matter " * 99], present=[True, False, False, False]))
    assert column.lengths.tolist()[1:] == [1, 1, 1] and column.values[-3:].tolist() == [0, 0, 0] and notes == {}


def test_special_tokens_of_a_published_tokeniser_stay():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    numbers = {"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "[CLS]": 4, "[SEP]": 5}
    published = Tokenizer(models.WordLevel(numbers, "[UNK]"))
    published.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = [("[CLS]", 4), ("[SEP]", 5)]
    published.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    published.enable_padding(length=9)
    column, notes = tokenizer.encode(["a b", "b a a a", "c"], published, 4, task="toy")
    assert column.values.tolist() == [4, 2, 3, 5, 4, 3, 2, 5, 4, 1, 5] and notes == {"truncated": 1, "longest": 4}
    with pytest.raises(Problem, match="1 text has no token"):
        tokenizer.encode(["a", ""], published, 4, task="toy")
    with pytest.raises(Problem, match="2 tokens leave no room"):
        tokenizer.encode(["a"], published, 2, task="toy")
    absent, _ = tokenizer.encode(["a", "b"], published, 4, task="toy", present=torch.tensor([True, False]))
    assert absent.values.tolist() == [4, 2, 5, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokenizer": "bpee"}, "text.tokenizer=bpee: .* Did you mean 'bpe'?"),
        ({"vocabulary": 2}, "text.vocabulary=2: give a number of tokens of 3 or more"),
        ({"vocabulary": True}, "text.vocabulary=True"),
        ({"length": 0}, "text.length=0: give"),
        ({"length": 1.5}, "text.length=1.5: give"),
        ({"lowercase": "yes"}, "text.lowercase=yes: give true or false"),
        ({"lenght": 3}, "text.lenght: .* Did you mean 'length'?"),
    ],
)
def test_silly_settings_are_told(options, words):
    with pytest.raises(Problem, match=words):
        text.fit([pool(ENGLISH)], options)


def test_the_spec_is_what_the_encoders_need():
    spec = text.fit([pool(ENGLISH)], {"length": 7}).spec
    assert isinstance(spec, TextSpec) and spec.length == 7 and len(spec.tokenizer) == 16
