"""A label space that no file of the package knows: a run, its metrics and directions, its floor, its split and its words."""

import json
from pathlib import Path

import pytest
import torch
from toys.angles import Angles, OnCircle, hands
from toys.runs import only, tasks_in
from toys.tasks import prepared

import xlearn
from xlearn.commands.train import main
from xlearn.data.options import TaskOptions
from xlearn.data.splits import split
from xlearn.data.unlabeled import HIDDEN, is_hidden
from xlearn.encoders.mlp import Mlp
from xlearn.fusion.concat import Concat
from xlearn.label_spaces import LabelSpace
from xlearn.networks.network import Network
from xlearn.table.command import main as table

TASKS = {
    "hands": "# A spot and its direction\n_target_: toys.angles.hands\nlabel_space: angles\n",
    "bright": "# The same, on a brighter ground\n_target_: toys.angles.hands\nshift: 40.0\nlabel_space: angles\n",
    "unnamed": "# Its file names no label space\n_target_: toys.angles.hands\n",
    "squares": "# Bright squares, of classes\n_target_: toys.tasks.blobs\nside: 8\n",
}
SPACE = """# @package _global_
# Directions
label_space:
  _target_: toys.angles.Angles
metric: degrees
target:
  shots: 20
"""
WORDS = ["encoder/image=mlp", "encoder.image.widths=[16,8]", "threads=1", "budget=quick"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    given = tasks_in(tmp_path / "own", **TASKS)
    (tmp_path / "own" / "label_space").mkdir()
    (tmp_path / "own" / "label_space" / "angles.yaml").write_text(SPACE)
    return [*given, *WORDS]


def test_a_run_transfers_measures_and_compares_it(words, capsys):
    """It beats its floor of about 90 degrees, and a gain is a smaller angle."""
    assert main([*words, "source=hands", "target=bright"]) == 0
    told = capsys.readouterr().out
    folder, result = only()
    assert result["metrics"].keys() == result["gain"].keys() == {"degrees", "within_right_angle"}
    assert result["metrics"]["degrees"] < 60 and 70 < result["majority"]["degrees"] < 110
    assert result["gain"]["degrees"] == result["baseline"]["metrics"]["degrees"] - result["metrics"]["degrees"]
    right = "within_right_angle"
    assert result["gain"][right] == result["metrics"][right] - result["baseline"]["metrics"][right]
    assert result["label_space"] == {
        "kind": "angles", "higher_is_better": {"degrees": False, right: True}, "floor": "mean direction", "group": "half",
    }  # fmt: skip
    assert result["config"]["target"]["shots"] == 20 and result["choices"]["objective"] == "supervised"
    assert "20 labels per half" in told and "degrees  " in told and "mean direction: " in told and "majority" not in told
    copied = json.loads((folder / "transfer.json").read_text())["copied"]
    assert any("head.angles_hands.second" in str(each) for each in copied)
    with (folder / "metrics.jsonl").open() as lines:
        looks = [json.loads(line) for line in lines]
    assert any("source_val_degrees" in look or "hands_val_degrees" in look for look in looks)


def test_the_lowest_angle_on_validation_data_is_kept(words):
    kept = "budget.transfer.keep=best_target"
    assert main([*words, "source=hands", "target=bright", kept, "evaluations=6"]) == 0
    folder, result = only()
    looks = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    looks = [each for each in looks if each["phase"] == "finetune" and "alone" not in each]
    best = min(looks, key=lambda look: look["target_val_degrees"])
    assert result["phases"][-1]["kept_step"] == best["step"]


def test_a_source_of_classes_is_validated_by_its_own_metric(words, capsys):
    assert main([*words, "source=squares", "target=bright"]) == 0
    assert "forgetting of source squares: test accuracy" in capsys.readouterr().out
    folder, _ = only()
    looks = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert "squares_val_accuracy" in looks[0] and "target_val_degrees" in looks[-1]


def test_a_loader_of_numbers_is_a_regression(words, capsys, tmp_path):
    """The mean of the labels has their variance, a third, as its error."""
    tasks = {
        name: f"# Brightness\n_target_: toys.tasks.brightness\nlabel_space: numbers\nshift: {shift}\n"
        for name, shift in (("even", 0.0), ("striped", 30.0))
    }
    tasks_in(tmp_path / "own", **tasks)
    longer = ["budget.pretrain.epochs=40", "budget.transfer.steps=200", "optimizer.lr=0.01"]
    assert main([*words, "source=even", "target=striped", "target.shots=30", *longer]) == 0
    told = capsys.readouterr().out
    _, result = only()
    assert result["majority"]["mse"] == pytest.approx(1 / 3, abs=0.12) and result["metrics"]["mse"] < 0.15
    assert result["gain"]["mse"] == result["baseline"]["metrics"]["mse"] - result["metrics"]["mse"]
    assert "30 labels, seed 0" in told and "mean of the training labels: " in told


def test_tables_go_by_its_direction(words, capsys):
    sweep = ["-m", "source=hands", "target=bright", "transfer=finetune,linear_probe"]
    assert main([*words, *sweep]) == 0
    capsys.readouterr()
    assert table(["outputs/default", "--bounds", "majority,scratch"]) == 0
    told = capsys.readouterr().out
    assert "mean direction" in told and "degrees" in told and "lower is better" in told


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["objective=focal"], "Focal is defined for classes, but the labels here are angles"),
        (["objective=cross_entropy", "objective.label_smoothing=0.1"], "label_smoothing is defined for classes"),
        (["augment=mixup"], "augment=mixup is defined for classes"),
        (["transfer=dann"], "adaptation without labels is defined for classes"),
        (["metric=accuracy"], "metric=accuracy: bright predicts angles. Set metric=degrees"),
        (["metric=degree"], "metric=degree: bright predicts angles. Did you mean 'degrees'"),
        (["target=unnamed"], "target=unnamed predicts angles, but its label space is Classes. Write `label_space: NAME`"),
        (["target.classes=[a,b]"], "target.classes chooses among classes, but this task predicts hands"),
        (["target.shots=100"], "target.shots=100: half '"),
        (["transfer=episodes_centroid"], "bright has no classes to draw episodes from"),
    ],
)
def test_what_needs_classes_is_refused_by_name(words, more, sentence, capsys):
    assert main([*words, "source=hands", "target=bright", *more]) == 1
    assert sentence in capsys.readouterr().err


def test_it_is_split_by_its_own_groups():
    raw = hands()
    left = raw.labels.cos() < 0
    rows = split(raw, TaskOptions(shots=7), 0, "target").train
    assert len(rows) == 14 and int(left[rows].sum()) == 7


def test_fit_and_evaluate_take_it():
    task = prepared(hands)
    encoder = Mlp(task.inputs["image"], widths=[16, 8])
    network = Network({"image": encoder}, Concat({"image": encoder.width}), {task.labels.key: task.labels.head(encoder.width)})
    before = xlearn.evaluate(network, task)
    losses = xlearn.fit(network, task, steps=60)
    assert isinstance(task.labels, Angles) and isinstance(network.head[task.labels.key], OnCircle)
    assert xlearn.evaluate(network, task)["degrees"] < before["degrees"] and losses[-1]["target"] < losses[0]["target"]


def test_what_a_label_space_lacks_is_named_when_it_is_made():
    class Bare(LabelSpace):
        pass

    with pytest.raises(TypeError, match=r"abstract methods.*(head|key).*losses"):
        Bare("bare", ())


def test_numbers_below_zero_are_labels():
    """A hidden label is -1, an angle may be."""
    assert not is_hidden(torch.tensor([-1.0, 0.5])) and is_hidden(torch.tensor([HIDDEN, HIDDEN]))
