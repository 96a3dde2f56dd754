"""Test inputs spoiled to a level: nested, harmless at level 0, and checked before anything trains."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys.runs import only

from xlearn.commands.train import main
from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, Examples, ImageSpec, TabularSpec, TextSpec
from xlearn.label_spaces.classes import Classes
from xlearn.robustness._missing import missing
from xlearn.robustness._noise import noise
from xlearn.runtime.errors import Problem


def given(count=40):
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "image": torch.randint(0, 256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8),
        "text": Ragged(torch.arange(2, 2 + 5 * count, dtype=torch.int32), torch.arange(count + 1) * 5),
        "tabular": torch.randn(count, 3, generator=generator).masked_fill(torch.rand(count, 3) < 0.1, float("nan")),
        "audio": Ragged(torch.randn(7 * count, generator=generator), torch.arange(count + 1) * 7),
    }
    labels = torch.arange(count) % 2
    specs = {
        "image": ImageSpec(1, 4, 4), "text": TextSpec(202, 5, "toy"), "tabular": TabularSpec(tuple("abc"), "toy"),
        "audio": AudioSpec(0, 8000, "toy"),
    }  # fmt: skip
    made = Examples(inputs, labels, torch.arange(count), Classes("toy", ("a", "b")), data="toy", specs=specs)
    return replace(made, whole=made)


def spoiled(kind, modality, level, examples=None, seed=0):
    return kind(examples or given(), level, torch.Generator().manual_seed(seed), modality=modality, levels=[level])


def test_missing_examples_are_nested():
    previous = torch.zeros(40, dtype=torch.bool)
    for level in (0.1, 0.25, 0.5, 1.0):
        absent = ~spoiled(missing, "image", level).present["image"]
        assert int(absent.sum()) == round(40 * level) and bool((absent | ~previous).all())
        previous = absent
    lacking = replace(given(), present={"text": torch.arange(40) < 10, "image": torch.arange(40) < 30})
    found = spoiled(missing, "image", 0.5, lacking)
    assert torch.equal(found.present["text"], lacking.present["text"]) and not found.present["image"][30:].any()
    assert bool(lacking.present["image"][:30].all())  # the examples themselves are left alone


@pytest.mark.parametrize("modality", ["image", "text", "tabular", "audio"])
def test_level_0_changes_nothing_and_levels_are_nested(modality):
    examples = given()
    assert spoiled(noise, modality, 0.0, examples) is examples and spoiled(missing, modality, 0.0, examples) is examples

    def values(level):
        column = spoiled(noise, modality, level, examples).inputs[modality]
        return (column.values if isinstance(column, Ragged) else column).double()

    clean = examples.inputs[modality]
    clean = (clean.values if isinstance(clean, Ragged) else clean).double()
    low, high = values(0.2), values(0.4)
    if modality == "text":
        assert set(low[low != clean].tolist()) == {1} and bool((high[low == 1] == 1).all())
        assert 0.1 < (low == 1).double().mean() < 0.3
    elif modality == "image":
        assert low.min() >= 0 and low.max() <= 255 and ((low - clean).abs() <= (high - clean).abs()).all()
    else:
        assert torch.equal(low.isnan(), clean.isnan())
        torch.testing.assert_close(2 * (low - clean), high - clean, equal_nan=True, atol=1e-5, rtol=1e-4)
        assert 0.16 < (low - clean).nan_to_num().std() / clean.nan_to_num().std() < 0.24


def test_noise_is_never_taken_for_the_data_set():
    found = spoiled(noise, "image", 0.5)
    assert "image" not in found.whole.inputs and "text" in found.whole.inputs
    assert torch.equal(spoiled(noise, "image", 0.5).inputs["image"], found.inputs["image"])
    assert not torch.equal(spoiled(noise, "image", 0.5, seed=1).inputs["image"], found.inputs["image"])


def test_wrong_words_are_told():
    for kind in (missing, noise):
        with pytest.raises(Problem, match="modality=speech: the target has audio, image, tabular, text"):
            spoiled(kind, "speech", 0.5)
        with pytest.raises(Problem, match="levels="):
            spoiled(kind, "image", -0.1)
    with pytest.raises(Problem, match="shares"):
        spoiled(missing, "image", 1.1)


def test_curves_of_a_run(toy):
    words = [*toy, "source=none", "transfer=scratch", "pretrain=none", "target=pairs", "target.shots=null"]
    assert (
        main([*words, "robustness=[missing,noise]", "robustness.missing.modality=tabular", "robustness.noise.modality=image"])
        == 0
    )
    folder, result = only()
    curves = json.loads((folder / "robustness.json").read_text(encoding="utf-8"))
    assert curves == result["robustness"] and list(curves) == ["missing", "noise"]
    for curve in curves.values():
        assert curve["accuracy"][0] == result["metrics"]["accuracy"] and len(curve["accuracy"]) == len(curve["levels"]) == 5
    assert curves["missing"]["accuracy"][-1] < curves["missing"]["accuracy"][0]
    assert sorted(result["alone"]) == ["image", "tabular"]


@pytest.mark.parametrize(
    "words", [["robustness.noise.modality=text"], ["robustness.noise.modality=image", "robustness.noise.levels=[-1]"]]
)
def test_what_could_not_be_measured_is_told_before_training(toy, capsys, words):
    assert main([*toy, "robustness=noise", *words]) == 1
    assert "robustness.noise." in capsys.readouterr().err
    assert not list(Path("outputs").rglob("metrics.jsonl"))


def test_noise_in_a_single_value_is_finite():
    """One value has no standard deviation."""
    from xlearn.data.modalities.vector import noisy

    assert noisy(torch.tensor([[2.0]]), 0.5, torch.Generator().manual_seed(0)).tolist() == [[2.0]]
