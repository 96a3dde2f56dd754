"""Curves: the metric against how much of the test inputs is spoiled."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from toys.results import document, frame, refusal, write
from toys.runs import only

from xlearn.commands import train
from xlearn.table import command

LEVELS = [0.0, 0.5, 1.0]
VALUES = {"scratch": [[0.5, 0.4, 0.3], [0.6, 0.45, 0.2]], "lp_ft": [[0.7, 0.6, 0.4], [0.8, 0.75, 0.45]]}


def curved(transfer: str, seed: int, shots: int = 5, values: list[float] | None = None) -> dict:
    values = values or VALUES[transfer][seed]
    made = document(transfer, shots, seed, values[0], 0.5)
    made["config"]["robustness"] = {"missing": {"_target_": "xlearn.robustness.missing"}}
    made["robustness"] = {"missing": {"modality": "image", "levels": LEVELS, "accuracy": values}}
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for transfer, seeds in VALUES.items():
        for seed in range(len(seeds)):
            write(tmp_path / "runs" / f"{transfer}{seed}", curved(transfer, seed))
    return tmp_path / "runs"


def test_levels_are_columns_and_gains_are_changes(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), "--curve", "missing"], capsys)
    assert [*found.index] == [(row, level) for row in ("scratch", "lp_ft") for level in LEVELS]
    line = found.loc[("lp_ft", 0.5)]
    assert line["mean"] == pytest.approx(0.675)
    assert line["gain"] == pytest.approx(np.mean([0.6 - 0.7, 0.75 - 0.8]))
    assert np.isnan(found.loc[("lp_ft", 0.0), "gain"])
    assert line["p"] == pytest.approx(stats.ttest_rel([0.6, 0.75], [0.4, 0.45]).pvalue)  # against scratch, same level
    assert found["seconds"].isna().all()
    only_one = frame([str(results), "--curve", "missing", "--where", "transfer=lp_ft"], capsys)
    assert set(only_one["against"]) == {"level 0"}
    assert command.main([str(results), "--curve", "missing"]) == 0
    out = capsys.readouterr().out
    assert "missing=0.5" in out and "Columns: share of the test examples that lack their image." in out
    assert "neg." not in out and "negative transfer" not in out


def test_columns_in_which_the_runs_differ_become_rows(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(results / "more", curved("lp_ft", 0, shots=20))
    found = frame([str(results), "--curve", "missing"], capsys)
    assert {row for row, _ in found.index} == {"scratch, 5", "lp_ft, 5", "lp_ft, 20"}


def test_runs_without_the_curve_are_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(results / "plain", document("l2_sp", 5, 0, 0.7, 0.5))
    assert command.main([str(results), "--curve", "missing"]) == 0
    out = capsys.readouterr().out
    assert "1 finished run(s) have no curve missing" in out and "| l2_sp" in out


@pytest.mark.slow
def test_json_and_pictures(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), "--curve", "missing", "--out", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["metric"], found["columns"], found["rows"]) == ("accuracy", ["0", "0.5", "1"], ["scratch", "lp_ft"])
    [cell] = [each for each in found["cells"] if (each["row"], each["column"]) == ("lp_ft", "0.5")]
    low, high = stats.t.interval(0.95, 1, loc=0.675, scale=stats.sem([0.6, 0.75]))
    assert cell["mean"] == pytest.approx(0.675) and cell["half_width"] == pytest.approx((high - low) / 2)
    assert [value for _, value in cell["values"]] == [0.6, 0.75]
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for number in range(14):  # bars instead of bands
        values = [0.5 + number / 40, 0.4, 0.3]
        for seed in range(2):
            write(results / f"m{number}{seed}", curved(f"method{number}", seed, values=[each + seed / 50 for each in values]))
    for ending, start in starts.items():
        for extra in ([], ["--where", "transfer=scratch,lp_ft"], ["--where", "seed=0"]):
            file = tmp_path / f"c{ending}"
            assert command.main([str(results), "--curve", "missing", "--out", str(file), *extra]) == 0
            assert file.read_bytes().startswith(start)
    svg = (tmp_path / "c.svg").read_text()
    assert "Share of the test examples that lack their image" in svg and "accuracy (higher is better)" in svg
    assert "method13" in svg


def test_refusals(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'missing'" in refusal([str(results), "--curve", "mising"], capsys)
    assert "Add --curve NAME" in refusal([str(results), "--out", "c.png"], capsys)
    assert "metric of their runs" in refusal([str(results), "--curve", "missing", "--metric", "nll"], capsys)
    assert "a curve has no reference rows" in refusal([str(results), "--curve", "missing", "--bounds", "alone"], capsys)
    write(tmp_path / "plain", document("l2_sp", 5, 0, 0.7, 0.5))
    assert "no run measured one" in refusal([str(tmp_path / "plain"), "--curve", "missing"], capsys)


def test_a_real_run(toy: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*toy, "robustness=[noise]", "robustness.noise.modality=image", "robustness.noise.levels=[0.0,0.5]"]) == 0
    said = capsys.readouterr().out
    assert "noise image, accuracy by level: 0: " in said and "majority class: " in said
    _, result = only()
    assert command.main(["outputs/default", "--curve", "noise"]) == 0
    assert f"{result['robustness']['noise']['accuracy'][1]:.3f}" in capsys.readouterr().out
    assert command.main(["outputs/default", "--bounds", "majority,scratch", "--metric", "per_class.c0.f1"]) == 0
    out = capsys.readouterr().out
    assert "| majority class" in out and "| scratch" in out


def test_the_unit_of_the_levels_is_what_the_runs_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = curved("lp_ft", 0)
    made["config"]["robustness"] = {"noise": {"_target_": "xlearn.robustness.noise"}}
    made["robustness"] = {"noise": {"modality": "image", "levels": LEVELS, "accuracy": VALUES["lp_ft"][0]}}
    write(tmp_path / "a", made)
    assert command.main([str(tmp_path), "--curve", "noise"]) == 0
    assert "Columns: noise in image of the test examples." in capsys.readouterr().out
    made["robustness"]["noise"]["unit"] = "standard deviations"
    write(tmp_path / "a", made)
    assert command.main([str(tmp_path), "--curve", "noise"]) == 0
    assert "noise in image of the test examples (level x: x standard deviations)." in capsys.readouterr().out


def test_class_paired_data_are_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ([], ["--curve", "missing"]):
        assert command.main([str(results), *flags]) == 0
        assert "class-paired" not in capsys.readouterr().out
    for seed, pairing in enumerate(("aligned: each has its own", "class-paired: mnist5k images")):
        made = curved("l2_sp", seed, values=VALUES["lp_ft"][seed])
        made["data"] = {"target": {"name": "spoken_digits", "pairing": pairing}, "source": {"name": "mnist5k"}}
        write(results / f"l2_sp{seed}", made)
    for flags in ([], ["--curve", "missing"]):
        for form in ("markdown", "html", "latex"):
            assert command.main([str(results), *flags, "--format", form]) == 0
            out = capsys.readouterr().out
            assert out.count("class-paired. The modalities of an example") == 1, out
