"""Texts of several columns: short ones stay whole, and single texts are what they were."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from xlearn.data.formats import formats
from xlearn.data.modalities import Pool
from xlearn.data.modalities.text import fit
from xlearn.data.modalities.tokenizer import encode, joined, texts_of
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import BETWEEN, Raw
from xlearn.encoders.text_cnn import TextCnn
from xlearn.runtime.errors import Problem

WORDS = {f"w{number}": number + 3 for number in range(30)}


def words_with_marks():
    """A tokeniser of words as published ones are: `[CLS] ... [SEP]`."""
    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, **WORDS}, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def row(*columns):
    return BETWEEN.join(" ".join(f"w{each}" for each in column) for column in columns)


def read(found, place):
    return found.values[found.offsets[place] : found.offsets[place + 1]].tolist()


def longest_first(counts, room):
    """As the slow tokenisers of transformers: one token at a time from the longest, from the last of equally long ones."""
    counts = list(counts)
    while sum(counts) > room:
        longest = max(counts)
        counts[len(counts) - 1 - counts[::-1].index(longest)] -= 1
    return counts


@given(st.lists(st.integers(0, 12), min_size=2, max_size=4).filter(any), st.integers(3, 20))
def test_the_longest_column_is_cut_first(counts, longest):
    texts = [row(*(range(1 + 7 * place % 10, 1 + 7 * place % 10 + count) for place, count in enumerate(counts)))]
    names = tuple("abcd"[: len(counts)])
    found, notes = encode(texts, words_with_marks(), longest, task="toy", columns=names)
    left = longest_first(counts, longest - 2)
    whole = [[WORDS[word] for word in part.split()] for part in texts[0].split(BETWEEN)]
    assert read(found, 0) == [1, *(number for part, keep in zip(whole, left, strict=True) for number in part[:keep]), 2]
    cut = {name: 1 for name, before, after in zip(names, counts, left, strict=True) if after < before}
    assert notes == ({"truncated": 1, "longest": longest, "truncated_columns": cut} if cut else {})


def test_a_title_behind_a_long_body_stays():
    body, title = range(1, 25), (26, 27)
    found, notes = encode([row(body, title), row((1,), title)], words_with_marks(), 10, task="toy", columns=("body", "title"))
    assert read(found, 0) == [1, *(number + 3 for number in (1, 2, 3, 4, 5, 6, 26, 27)), 2]
    assert notes == {"truncated": 1, "longest": 10, "truncated_columns": {"body": 1}}


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_learned_tokenisers_share_the_length_and_keep_the_spaces_between_columns(kind):
    texts = [BETWEEN.join(("the very long body of this text " * 5, f"title {number}", "")) for number in range(8)]
    raw = Raw({"text": texts}, torch.zeros(8, dtype=torch.int64), ("x",), "toy", text_columns=("body", "title", "more"))
    pool = Pool("toy", raw, f"{kind}", torch.arange(8))
    form = fit([pool], {"tokenizer": kind, "length": 20})
    column, notes = form(pool)
    assert column.lengths.tolist() == [20] * 8 and notes["truncated_columns"] == {"body": 8}
    assert form.tokenizer.decode(read(column, 3)).replace("\u2581", " ").endswith(" title 3")
    # Its vocabulary is that of the joined texts.
    plain = Pool("toy", Raw({"text": texts_of(pool)}, raw.labels, ("x",), "toy"), f"{kind} joined", torch.arange(8))
    assert fit([plain], {"tokenizer": kind, "length": 20}).spec == form.spec
    long = {"tokenizer": kind, "length": 400}
    assert torch.equal(fit([pool], long)(pool)[0].values, fit([plain], long)(plain)[0].values)


def test_columns_that_are_empty_leave_no_space():
    assert [joined(text) for text in (BETWEEN, f"a{BETWEEN}", f"{BETWEEN}b", f"a{BETWEEN}{BETWEEN}b")] == ["", "a", "b", "a b"]


def test_a_text_without_a_token_is_named_by_its_row():
    with pytest.raises(Problem, match="toy: 1 text has no token .*, row 7 of a.csv. Remove"):
        encode(["w1", " "], words_with_marks(), 5, task="toy", names=("row 3 of a.csv", "row 7 of a.csv"))


def test_rows_that_the_tokeniser_finds_empty_are_left_out_of_all_splits_with_skip_bad():
    texts = [f"w{row}" for row in range(40)]
    texts[7] = texts[23] = "\ufffd"

    def load(skip_bad):
        names = [f"row {row + 1} of a.csv" for row in range(40)]
        labels = torch.arange(40) % 2
        return Raw({"text": texts}, labels, ("a", "b"), "toy", names=names, skip_bad=skip_bad)

    source = TaskSource("toy", "target", partial(load, True), {"skip": True}, TaskOptions(shots=5))
    encoders = {"text": partial(TextCnn, embedding=4, filters=2, kernels=[1])}
    task = prepare(source, formats([source], {}, encoders, 0), 0)
    parts = [task.train, task.val, task.unlabeled, task.test.examples]
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == [row for row in range(40) if row not in (7, 23)]
    assert task.notes["text"]["unread"] == 2 and not {7, 23} & {*task.training.tolist()}
    strict = TaskSource("toy", "target", partial(load, False), {"skip": False}, TaskOptions(shots=5))
    with pytest.raises(Problem, match=r"2 texts have no token .*, row 8 of a.csv, row 24 of a.csv. Remove"):
        prepare(strict, formats([strict], {}, encoders, 0), 0)
