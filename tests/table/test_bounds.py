"""Rows that the runs bring with them, and numbers other than the metrics."""

from pathlib import Path

import pytest
from scipy import stats
from toys.results import document, frame, refusal, write

from xlearn.table import command

FUSIONS = {"concat": 0.60, "gated": 0.64}
ALONE = {"image": [0.45, 0.47, 0.44], "text": [0.55, 0.58, 0.56]}


def paired(fusion: str, seed: int, **changes) -> dict:
    """A run of a target with two modalities."""
    made = document("finetune", 5, seed, FUSIONS[fusion] + seed / 100, 0.5 + seed / 50, **changes)
    made["config"]["fusion"] = {"_target_": f"x.{fusion}"}
    made["choices"]["fusion"] = fusion
    made["baseline"]["phases"] = [{"seconds": 4.0}]
    made["majority"] = {"accuracy": 0.2, "nll": 2.0}
    made["alone"] = {
        name: {"metrics": {"accuracy": values[seed], "nll": 1 - values[seed]}, "phases": [{"seconds": 1.0}, {"seconds": 0.5}]}
        for name, values in ALONE.items()
    }
    if fusion == "gated":
        made["retrieval"] = {"image->text": {"recall@1": 0.1, "recall@10": 0.3 + seed / 10, "items": 380}}
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for fusion in FUSIONS:
        for seed in range(3):
            write(tmp_path / "runs" / f"{fusion}{seed}", paired(fusion, seed))
    return tmp_path / "runs"


def test_each_modality_alone_is_a_row(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), "--rows", "fusion"], capsys)
    assert [row for row, _ in found.index] == ["concat", "gated", "image alone", "text alone"]
    line = found.loc[("text alone", "5")] if ("text alone", "5") in found.index else found.loc[("text alone", 5)]
    assert line["mean"] == pytest.approx(sum(ALONE["text"]) / 3)
    assert line["gain"] == pytest.approx(sum(ALONE["text"]) / 3 - 0.52)
    assert line[["n", "seconds"]].tolist() == [3, 1.5]
    assert not found.loc["image alone", "negative"].any()  # nothing was transferred there
    against = frame([str(results), "--rows", "fusion", "--against", "text alone"], capsys)
    expected = stats.ttest_rel([0.60, 0.61, 0.62], ALONE["text"]).pvalue
    assert against.loc[("concat", 5), "p"] == pytest.approx(expected)
    assert against.loc["text alone", "p"].isna().all()


def test_bounds_are_chosen(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["--rows", "fusion", "--bounds"]
    assert {row for row, _ in frame([str(results), *rows, "none"], capsys).index} == {*FUSIONS}
    found = frame([str(results), *rows, "majority,scratch"], capsys)
    assert [row for row, _ in found.index][2:] == ["scratch", "majority class"]
    assert found.loc[("scratch", 5), ["mean", "gain", "seconds"]].tolist() == pytest.approx([0.52, 0, 4])
    assert set(found["against"]) == {"scratch"}
    assert found.loc[("majority class", 5), ["mean", "seconds"]].tolist() == pytest.approx([0.2, 0])
    assert "'majority'" in refusal([str(results), *rows, "majorty"], capsys)
    assert command.main([str(results), *rows, "majority,alone"]) == 0
    out = capsys.readouterr().out
    assert "`image alone`, `text alone`: a single modality" in out and "`majority class`: always predicts the most" in out


@pytest.mark.parametrize("value", [0.9, 0.0])
def test_what_differs_between_the_runs_is_no_row(value: float, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = paired("gated", 2)
    other["alone"]["text"]["metrics"]["accuracy"] = value
    write(results / "gated2", other)
    assert command.main([str(results), "--rows", "fusion"]) == 0
    out = capsys.readouterr().out
    assert "| image alone" in out and "| text alone" not in out
    assert "There is no row `text alone`" in out and f"seed 2: 0.560 and {value:.3f}" in out
    assert command.main([str(results), "--rows", "fusion", "--against", "text alone"]) == 0
    assert "than each run's own baseline" in capsys.readouterr().out


def test_no_gain_where_the_rows_have_different_baselines(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = paired("gated", 2)
    other["baseline"]["metrics"]["accuracy"] = 0.1
    write(results / "gated2", other)
    found = frame([str(results), "--rows", "fusion"], capsys)
    assert found.loc["text alone", ["gain", "p"]].isna().all().all()
    assert not found.loc["text alone", "mean"].isna().any()


def test_results_without_bounds_make_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", document("finetune", 5, 0, 0.7, 0.5))
    assert command.main([str(tmp_path), "--bounds", "majority,alone"]) == 0
    assert "made before it was measured" in capsys.readouterr().out
    assert command.main([str(tmp_path), "--metric", "retrieval.image->text.recall@1"]) == 1
    assert "there is no such metric" in capsys.readouterr().err


def test_any_number_of_a_result_can_be_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metric = "retrieval.image->text.recall@10"
    assert command.main([str(results), "--rows", "fusion", "--metric", metric]) == 0
    out = capsys.readouterr().out
    assert "| **0.400** ± 0.248 3.5 s" in out  # no parentheses
    assert f"{metric}, higher is better" in out and "3 finished run(s) have no" in out
    assert "baseline" not in out and "neg." not in out
    told = refusal([str(results), "--rows", "fusion", "--metric", "retrieval.image->txt.recall@10"], capsys)
    assert f"'{metric}'" in told
    found = frame([str(results), "--rows", "fusion", "--metric", "metrics.nll"], capsys)
    assert found.loc[("gated", 5), "mean"] == pytest.approx(0.35)
