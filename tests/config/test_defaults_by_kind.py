"""What a target's label space and file set by default: metric, objective, shots, ways; the command line has the last word."""

from pathlib import Path

import pytest
from toys.runs import tasks_in

from xlearn.commands.show import shown
from xlearn.config.compose import complete, composed, register
from xlearn.config.schema import identity
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest

SPACE = """# @package _global_
# Ranks
label_space:
  _target_: xlearn.label_spaces.Numbers
metric: mse
target:
  shots: 7
"""


def config(*words, folders=()):
    register([*folders])
    return complete(composed([*words], [*folders]))


def of(made):
    return made["metric"], made["target"]["shots"], made["episodes"]["ways"], made["objective"]["_target_"].rpartition(".")[2]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("accuracy", 5, 5, "CrossEntropy")),
        (["target=mnist5k"], ("accuracy", 5, 5, "CrossEntropy")),
        (["target=sinusoid"], ("mse", 5, 1, "Supervised")),
        (["target=sinusoid", "episodes.ways=2", "target.shots=9"], ("mse", 9, 2, "Supervised")),
        (["target.shots=null"], ("accuracy", None, 5, "CrossEntropy")),
        (["metric=nll", "objective=focal", "target.shots=0"], ("nll", 0, 5, "Focal")),
    ],
)
def test_the_label_space_of_the_target_sets_what_is_not_given(words, expected):
    assert of(config(*words)) == expected


def test_sources_have_all_their_labels_whatever_they_predict():
    assert config("source=sinusoid", "target=sinusoid")["source"]["sinusoid"]["shots"] is None


def test_a_default_that_is_written_out_makes_no_other_run():
    written = config("metric=accuracy", "target.shots=5", "objective=cross_entropy", "episodes.ways=5")
    assert digest(identity(written)) == digest(identity(config()))
    sines = config("target=sinusoid", "metric=mse", "target.shots=5", "episodes.ways=1", "objective=supervised")
    assert digest(identity(sines)) == digest(identity(config("target=sinusoid")))
    assert digest(identity(config("target.shots=null"))) != digest(identity(config()))


def test_digests_of_runs_of_classes_are_those_of_before():
    """Of commit e8e914d, before label spaces, but for a key that came later."""

    def digest_of(*words: str) -> str:
        found = identity(config("budget=quick", *words))
        assert found.pop("normalization_statistics") == "exact"
        return digest(found)

    assert digest_of() == "81f8e55807b38168"
    assert digest_of("target.shots=0", "transfer=dann") == "8b72c10bb4929ea7"


def test_a_task_and_a_label_space_of_ones_own(tmp_path: Path):
    """The file of the task has the last word before the command line: here a budget of labels."""
    own = tmp_path / "own"
    tasks_in(
        own,
        ranked="# Ranks\n_target_: toys.tasks.blobs\nlabel_space: ranks\n",
        few="# Few of them\n_target_: toys.tasks.blobs\nlabel_space: ranks\nshots: 3\n",
        lost="# Of no label space\n_target_: toys.tasks.blobs\nlabel_space: rank\n",
        odd="# Of two\n_target_: toys.tasks.blobs\nlabel_space: [ranks]\n",
    )
    (own / "label_space").mkdir()
    (own / "label_space" / "ranks.yaml").write_text(SPACE)
    (own / "task" / "odd.yaml").unlink()
    assert of(config("target=ranked", folders=[own])) == ("mse", 7, 5, "Supervised")
    assert of(config("target=few", folders=[own]))[1] == 3
    assert of(config("target=few", "target.shots=null", folders=[own]))[1] is None
    assert "label_space" not in config("target=ranked", folders=[own])["target"]
    with pytest.raises(Problem, match="label_space=rank: there is no such option"):
        config("target=lost", folders=[own])
    (own / "task" / "odd.yaml").write_text("_target_: toys.tasks.blobs\nlabel_space: [ranks]\n")
    with pytest.raises(Problem, match=r"odd\.yaml: label_space: \['ranks'\] is no name of a label space"):
        config(folders=[own])


def test_a_label_space_without_a_metric_is_told(tmp_path: Path):
    own = tmp_path / "own"
    tasks_in(own, ranked="# Ranks\n_target_: toys.tasks.blobs\nlabel_space: ranks\n")
    (own / "label_space").mkdir()
    (own / "label_space" / "ranks.yaml").write_text("# @package _global_\n# Ranks\ntarget:\n  shots: 7\n")
    register([own])
    made = composed(["target=ranked"], [own])
    with pytest.raises(Exception, match="metric"):
        complete(made)


def test_a_label_space_is_not_chosen_on_the_command_line():
    with pytest.raises(Problem, match="label_space follows from the target and cannot be chosen"):
        config("label_space=numbers")


def test_show_names_the_defaults_of_each_label_space():
    assert "accuracy (classes), mse (functions, numbers)" in shown(["metric"], [])
    assert "5 (classes, functions), 50 (numbers) for the target, null for sources" in shown(["target.shots"], [])
    assert "5; 1 (functions)" in shown(["episodes.ways"], [])
