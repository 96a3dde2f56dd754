"""Values that Hydra's grammar refuses: the message shows how to write them, and what it shows works."""

import shlex
from pathlib import Path

import pytest

from xlearn.config.compose import composed, plain, register
from xlearn.config.quoting import parses, sentence, shown
from xlearn.runtime.errors import Problem

PATHS = (
    "outputs/epoch=9-step=8", "👍 ok.csv", "a, b=c.csv",
    "a (1).csv", "a[1].csv", "a{b}.csv", "it's.csv", 'say "x".csv', "データ/表.csv", "~/x.csv", '"a.csv',
    "a;b#c.csv", "a&b!.csv", "C:\\dir\\a (1)\\", 'a\\"b.csv', "a|b<c>?*.csv", "a,b (1).csv", "é.csv", "[a",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_the_words_that_a_message_shows_have_the_value_that_was_meant(path):
    register([])
    with pytest.raises(Problem) as raised:
        composed(["target=own_table", f"target.file={path}"], [])
    assert str(raised.value).startswith(f"target.file={path}: ")
    [word] = shlex.split(str(raised.value).partition("reads them: ")[2])
    assert composed(["target=own_table", word], []).target.file == path


def test_items_of_a_list_are_quoted_one_by_one():
    [word] = shlex.split(shown("target.classes=[a b,c=d,日本,7]") or "")
    assert word == 'target.classes=[a b,"c=d","日本",7]'
    register([])
    assert plain(composed([word], []).target.classes) == ["a b", "c=d", "日本", 7]


def test_commas_are_a_list_a_text_or_a_sweep():
    register([])
    with pytest.raises(Problem, match=r"A list is target.classes=\[a,b\], one text 'target.classes=\"a,b\"', .* needs -m"):
        composed(["target.classes=a,b"], [])


@pytest.mark.parametrize(
    ("word", "said"),
    [("seed==3", "Write seed=3."), ("lr", "Write lr=VALUE."), ("a b=3", "'a b' is no key")],
)
def test_other_words_that_are_no_override(word, said):
    assert not parses(word)
    assert said in sentence(word)


def test_every_wrong_word_is_named_at_once():
    register([])
    with pytest.raises(Problem) as raised:
        composed(["seed==3", "target.classes=[a=b]"], [])
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("encoder/ids=bag", "Write +encoder/ids=bag."),
        ("encoder.ids.width=3", "Add one first: +encoder/ids=bag."),
        ("hydra.launcher.ray.init.num_cpus=4", "add it: +hydra.launcher.ray.init.num_cpus=4."),
    ],
)
def test_what_has_to_be_added_is_shown_with_its_plus(word, said, tmp_path: Path):
    folder = tmp_path / "conf"
    (folder / "encoder" / "ids").mkdir(parents=True)
    (folder / "encoder" / "ids" / "bag.yaml").write_text("_target_: xlearn.encoders.Mlp\n", encoding="utf-8")
    register([folder])
    with pytest.raises(Problem) as raised:
        composed([word], [folder])
    assert said in str(raised.value)
