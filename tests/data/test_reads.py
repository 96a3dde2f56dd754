"""The views of tasks that a phase reads."""

import pytest
from toys.runs import toy_folder
from toys.tasks import shifted_tasks

from xlearn.commands.train import main
from xlearn.config.renamed import READS
from xlearn.data.reads import VIEWS, in_order, read_tasks, seed_word
from xlearn.data.unlabeled import UNLABELED


@pytest.mark.parametrize("word", READS)
def test_an_old_word_is_answered_by_the_list_that_replaces_it(word, tmp_path, capsys):
    assert main([*toy_folder(tmp_path), f"transfer.phases.finetune.reads={word}"]) == 1
    told = f"transfer.phases.finetune.reads={word}: it is a list now: reads=[{','.join(READS[word])}]"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[sourc]", "reads=[sourc]: Did you mean 'source'"),
        ("[]", "reads=[]: name at least one of source, target, target.unlabeled"),
        ("targets", "reads=targets: give a list of source, target"),
    ],
)
def test_other_views_are_refused_by_name(given, told, tmp_path, capsys):
    assert main([*toy_folder(tmp_path), f"transfer.phases.finetune.reads={given}"]) == 1
    assert told in capsys.readouterr().err


def test_seeds_are_derived_from_the_words_of_earlier_versions():
    """Otherwise every number of every run would be another."""
    assert {seed_word(views): word for word, views in READS.items()} == {word: word for word in READS}
    assert seed_word(["target.unlabeled"]) == "target.unlabeled"


def test_their_order_does_not_matter():
    assert in_order(["target.unlabeled", "source", "target"]) == ("source", "target", "target.unlabeled")
    assert {*VIEWS} == {view for views in READS.values() for view in views}


def test_a_view_may_stand_alone():
    """Unlabelled examples without the labelled ones of the same target."""
    read = read_tasks(("source", "target.unlabeled"), None, shifted_tasks(5), "adapt")
    assert {*read} == {"blobs", UNLABELED}
