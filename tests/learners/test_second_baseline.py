"""The second baseline: a network from scratch with other encoders, on the same rows and for the same steps."""

from pathlib import Path

import pytest
from toys.runs import only

from xlearn.commands.check import main as check
from xlearn.commands.train import main
from xlearn.runtime.storage import read_tensors
from xlearn.table.command import main as table

SMALL = ["comparison=[cheap]", "encoder/image@comparison.cheap.encoder.image=mlp", "comparison.cheap.encoder.image.widths=[6]"]


def test_it_is_the_run_of_its_encoder_alone(toy, capsys):
    """Equal to `transfer=scratch` with that encoder and without a source: labels, split, seed, steps and form."""
    assert main([*toy, "target.shots=5", "transfer=lp_ft", "experiment=beside", *SMALL]) == 0
    told = capsys.readouterr().out
    folder, result = only(Path("outputs/beside"))
    other = [word for word in toy if not word.startswith(("source=", "encoder"))]
    words = ["source=none", "encoder/image=mlp", "encoder.image.widths=[6]", "transfer=scratch", "budget.transfer.steps=60"]
    assert main([*other, "target.shots=5", "pretrain=none", "experiment=alone", *words]) == 0
    _, alone = only(Path("outputs/alone"))
    found = result["comparisons"]["cheap"]
    assert found["metrics"] == alone["metrics"] and found["steps"] == result["baseline"]["steps"] == 60
    assert found["gain"]["nll"] == pytest.approx(found["metrics"]["nll"] - result["metrics"]["nll"])
    assert "cheap from scratch: accuracy" in told
    tensors = read_tensors(folder / "predictions.safetensors")
    assert float(tensors["correct.comparisons.cheap"].double().mean()) == pytest.approx(found["metrics"]["accuracy"])


def test_it_is_a_row_of_tables_and_absent_unless_asked(toy, capsys):
    assert main([*toy, "target.shots=5", *SMALL]) == 0
    capsys.readouterr()
    assert table(["outputs"]) == 0
    assert "| cheap " in capsys.readouterr().out
    assert main([*toy, "target.shots=5", "experiment=without"]) == 0
    assert "comparisons" not in only(Path("outputs/without"))[1]


@pytest.mark.parametrize("words", [["transfer=mmd", "target.shots=0"], ["transfer=kd", "target.shots=5"]])
def test_a_target_without_labels_has_none(words, toy):
    assert main([*toy, *words, *SMALL]) == 0
    _, result = only()
    assert ("comparisons" in result) == (words[1] != "target.shots=0")


def test_it_is_checked_before_training(toy, capsys):
    assert check([*toy, *SMALL]) == 0, capsys.readouterr().err
    assert main([*toy, "comparison=[cheap]", "comparison.cheap.encoder.image.widths=[0.5]"]) == 1
    assert "comparison.cheap.encoder.image.widths" in capsys.readouterr().err
