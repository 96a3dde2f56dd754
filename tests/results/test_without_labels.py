"""Targets that truly have no labels, targets that have some, and classes without rows in a split."""

import csv
from pathlib import Path

import pytest
import torch
from toys.runs import TOY, only, results, tasks_in
from toys.tasks import prepared
from toys.unlabelled import lacking, partly

from xlearn.commands.train import main
from xlearn.data.unlabeled import revealed
from xlearn.results.rows import counted, rows_of
from xlearn.runtime.storage import read_tensors
from xlearn.table import command


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    given = {
        "blobs": "# Squares\n_target_: toys.tasks.blobs\n",
        "bare": "# Squares without labels\n_target_: toys.unlabelled.partly\n",
        "some": "# Squares of which half have labels\n_target_: toys.unlabelled.partly\nlabelled: 0.5\n",
        "lacking": "# No test row of c1\n_target_: toys.unlabelled.lacking\n",
    }
    tasks = tasks_in(tmp_path / "own", **given)
    return [*tasks, *(word for word in TOY if not word.startswith("target="))]


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return [*csv.DictReader(stream)]


def test_a_run_without_any_label_predicts_and_claims_nothing(words, capsys):
    assert main([*words, "target=bare", "target.shots=0", "transfer=mcc"]) == 0
    folder, result = only()
    out, error = capsys.readouterr()
    assert "120 examples of 3 classes, none with a label" in error
    assert "accuracy: n/a; gain: n/a" in out
    assert "predicted: 120 example(s), in predictions.csv" in out
    assert not any(word in out.split() for word in ("nan", "0.0000"))
    assert (result["metrics"], result["baseline"]["metrics"], result["gain"], result["majority"]) == ({}, {}, {}, None)
    assert "target_only" not in result["bounds"]
    assert result["data"]["target"]["examples"] == {"train": 0, "val": 0, "test": 0, "unlabeled": 120}
    assert (result["data"]["target"]["with_labels"], result["data"]["target"]["without_labels"]) == (0, 120)
    rows = predictions(folder)
    assert [row["name"] for row in rows] == [f"'=squares/{row}.png" for row in range(120)]
    assert set(rows[0]) == {"name", "predicted", "probability"}
    written = read_tensors(folder / "predictions.safetensors")
    assert "labels" not in written
    probability, predicted = written["logits"].softmax(1).max(1)
    assert [row["predicted"] for row in rows] == [f"c{each}" for each in predicted.tolist()]
    assert [float(row["probability"]) for row in rows] == pytest.approx(probability.tolist(), abs=1e-6)
    assert command.main(["outputs"]) == 0
    table = capsys.readouterr().out
    assert "| n/a" in table
    assert "1 finished run(s) have no accuracy" in table


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["transfer=finetune"], "no example of bare has a label. Write target.shots=0"),
        (["target.shots=null", "transfer=scratch"], "no example of bare has a label. Write target.shots=0"),
        (["target.shots=0", "transfer=mcc", "transfer.phases.adapt.keep=oracle"], "keep=oracle needs validation examples"),
        (["target.shots=0", "transfer=finetune"], "shots=0 leaves no labels"),
        (
            ["target.shots=0", "transfer=mcc", "robustness=noise", "robustness.noise.modality=image"],
            "no labels to measure with",
        ),
    ],
)
def test_what_needs_labels_is_refused_before_training(words, more, said, capsys):
    assert main([*words, "target=bare", *more]) == 1
    assert said in capsys.readouterr().err
    assert not results()


def test_a_sweep_over_a_target_without_labels(words, capsys):
    assert main([*words, "target=bare", "target.shots=0", "-m", "transfer=mcc,source_only"]) == 0
    assert capsys.readouterr().out.count("accuracy n/a (the target has no labels)") == 2


def test_labelled_rows_among_others_train_and_are_measured(words, capsys):
    assert main([*words, "target=some", "target.shots=3", "transfer=mcc"]) == 0
    folder, result = only()
    out, error = capsys.readouterr()
    counts, told = result["data"]["target"]["examples"], result["data"]["target"]
    assert counts["train"] == 9
    assert told["with_labels"] + told["without_labels"] == sum(counts.values()) == 120
    assert f"9 labelled (3 per class), {counts['unlabeled']} unlabelled ({told['without_labels']} have no label)" in error
    assert f"{told['with_labels']} example(s) with a label; {told['without_labels']} example(s) without" in out
    assert {row["label"] for row in predictions(folder)} == {"c0", "c1", "c2"}
    assert len(predictions(folder)) == counts["test"]


def test_bounds_and_floors_use_no_label_that_does_not_exist():
    task = prepared(lambda: partly(labelled=0.5), "half", shots=2)
    known = revealed(task).train
    assert task.labelled is not None
    assert bool(task.labelled[known.rows].all())
    assert len(known) < len(task.train) + len(task.unlabeled)
    assert bool((known.labels == torch.arange(3).repeat_interleave(40)[known.rows]).all())


def test_a_class_without_test_rows_is_named(words, capsys):
    assert main([*words, "target=lacking", "target.shots=null", "transfer=finetune"]) == 0
    out = capsys.readouterr().out
    assert "no test example of class c1" in out
    assert "balanced accuracy and worst class over the 2 of 3 classes with test examples" in out
    assert rows_of(prepared(lacking, "lacking"))["lacking"] == {"test": ["c1"]}


def test_the_line_before_training():
    task = prepared(lambda: partly(labelled=1.0), "all", shots=5)
    line = counted(task)
    assert line.startswith("target: 120 examples of 3 classes: 24 test, ")
    assert "15 labelled (5 per class)" in line


def test_too_many_shots_are_answered_with_the_number_that_is_possible(words, capsys):
    assert main([*words, "target=blobs", "source=none", "transfer=scratch", "target.shots=39"]) == 1
    error = capsys.readouterr().err
    assert "Give at most " in error
    assert "target.val (0: no validation)" in error
    assert "target.folds" in error
