"""`xlearn table` on results written by hand."""

import copy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from toys.results import ACCURACY, document, fail, fill, frame, refusal, write

from xlearn.table import command
from xlearn.table.collect import Record, collect
from xlearn.table.keys import differing, same, shown, value
from xlearn.table.tabulate import tabulate


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fill(tmp_path / "runs")


def test_numbers_are_those_of_numpy_and_scipy(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results)], capsys)
    assert len(found) == 4
    for place, values in ACCURACY.items():
        line = found.loc[place]
        low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
        assert line["n"] == 3
        assert line[["mean", "low", "high"]].tolist() == pytest.approx([np.mean(values), low, high])
        assert line["seconds"] == pytest.approx(3.5)
    p = {shots: stats.ttest_rel(ACCURACY["lp_ft", shots], ACCURACY["scratch", shots]).pvalue for shots in (1, 5)}
    smaller, larger = sorted(p, key=p.__getitem__)
    assert found.loc[("lp_ft", 1), "p"] == pytest.approx(p[1])
    assert found.loc[("lp_ft", smaller), "p_holm"] == pytest.approx(2 * p[smaller])
    assert found.loc[("lp_ft", larger), "p_holm"] == pytest.approx(max(2 * p[smaller], p[larger]))
    assert found.loc["scratch", "p"].isna().all()
    assert found["negative"].to_dict() == {place: place == ("lp_ft", 5) for place in ACCURACY}


def test_own_baseline_when_there_is_no_scratch_row(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), "--where", "transfer=lp_ft"], capsys)
    assert set(found["against"]) == {"baseline"}
    assert found.loc[("lp_ft", 5), "p"] == pytest.approx(stats.ttest_rel(ACCURACY["lp_ft", 5], ACCURACY["scratch", 5]).pvalue)


def test_single_seed_has_no_interval_and_no_test(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), "--where", "seed=1"], capsys)
    assert found[["low", "high", "p"]].isna().all().all()
    assert found.loc[("lp_ft", 1), "mean"] == 0.625
    assert command.main([str(results), "--where", "seed=1"]) == 0
    assert "0.710 (-0.110) neg.? 3.5 s" in capsys.readouterr().out


def test_failed_missing_and_incomplete_cells(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail(results / "failed", document("l2_sp", 1, 0, 0, 0))
    fail(results / "begun", document("l2_sp", 5, 0, 0, 0), reason=None)
    (results / "lp_ft12" / "result.json").unlink()
    fail(results / "lp_ft12x", document("lp_ft", 1, 2, 0, 0))
    assert command.main([str(results)]) == 0
    out = capsys.readouterr().out
    assert [cell.strip() for cell in next(line for line in out.splitlines() if "| l2_sp" in line).split("|")[2:4]] == ["X", "-"]
    assert "n=2,1X" in out
    assert "the loss became nan" in out
    found = frame([str(results)], capsys)
    assert found.loc[("l2_sp", 1), ["n", "failed", "missing"]].tolist() == [0, 1, 0]
    assert found.loc[("l2_sp", 5), ["n", "failed", "missing"]].tolist() == [0, 0, 1]
    # Paired over the shared seeds only.
    assert found.loc[("lp_ft", 1), "p"] == pytest.approx(stats.ttest_rel([0.60, 0.625], [0.50, 0.52]).pvalue)


def test_a_result_beside_a_failure_counts(results: Path) -> None:
    fail(results / "earlier", document("lp_ft", 1, 2, 0, 0))
    table = tabulate(collect([results]), ["transfer"], ["target.shots"], None, None)
    assert (table.cells["lp_ft", "1"].n, table.cells["lp_ft", "1"].failed) == (3, 0)


def test_two_results_for_one_seed_are_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(results / "other", document("lp_ft", 1, 0, 0.9, 0.5, optimizer__lr=0.01))
    told = refusal([str(results)], capsys)
    for part in ("(row, column, seed)", str(results / "other"), str(results / "lp_ft10"), "optimizer.lr: 0.001 and 0.01"):
        assert part in told
    assert command.main([str(results), "--where", "optimizer.lr=1e-3"]) == 0
    assert command.main([str(results), "--columns", "target.shots,optimizer.lr"]) == 0
    assert "target.shots=1, optimizer.lr=0.01" in capsys.readouterr().out


def test_a_copy_is_refused_but_a_folder_named_twice_is_not(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), str(results / "lp_ft10")]) == 0
    capsys.readouterr()
    write(results / "copy", document("lp_ft", 1, 0, 0.9, 0.5))
    assert "Their configurations are the same" in refusal([str(results)], capsys)


def test_what_differs_beside_rows_columns_and_seeds_is_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        write(results / f"sp{seed}", document("l2_sp", 1, seed, 0.6, 0.5, optimizer__lr=0.5))
    assert command.main([str(results)]) == 0
    assert "neither row, column nor seed: optimizer.lr (0.001, 0.5)." in capsys.readouterr().out


def test_folds_are_replicates(tmp_path: Path) -> None:
    for fold in range(3):
        changes = {"target__folds": 3, "target__fold": fold}
        write(tmp_path / str(fold), document("finetune", 5, 0, 0.7 + fold / 10, 0.5, **changes))
    table = tabulate(collect([tmp_path]), ["transfer"], ["target.shots"], None, None)
    assert table.cells["finetune", "5"].n == 3
    assert table.replicates == (("seed", ("0",)), ("target.fold", ("0", "1", "2")))


def test_best_target_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", {**document("finetune", 5, 0, 0.7, 0.5), "selection": ["best_target", "last"]})
    assert command.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "**0.700†** (+0.200)" in out
    assert "kept: best_target, last" in out


def test_keys_are_choices_then_paths() -> None:
    content = document("lp_ft", None, 0, 0.5, 0.5)
    record = Record(Path("x"), content["config"], content["choices"], content)
    expected = {
        "transfer": "lp_ft", "target": "optdigits", "encoder/image": "cnn", "source": "mnist5k + fashion", "optimizer": "adam",
        "target.shots": "null", "optimizer.lr": "0.001", "encoder.image": "Cnn", "encoder.image.widths": "[8,16]",
        "encoder": "image", "transfer.carry": "true", "nothing.there": None, "source.mnist5k.val": "0.1",
    }  # fmt: skip
    assert {key: value(record, key) for key in expected} == expected
    assert [shown(each) for each in (True, None, 1.0, 1e-5, 3)] == ["true", "null", "1", "1e-05", "3"]
    assert same("1e-3", "0.001") and not same("a", "1")
    other = copy.deepcopy(content)
    other["config"]["optimizer"]["lr"] = 0.1
    other["config"]["transfer"]["phases"]["lp_ft"]["reads"] = "source"
    both = [record, Record(Path("y"), other["config"], other["choices"], other)]
    assert differing(both) == {"optimizer.lr": ["0.001", "0.1"], "transfer.phases.lp_ft.reads": ["target", "source"]}


def test_only_failures_make_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for transfer, shots in product(("a", "b"), (1, 5)):
        fail(tmp_path / f"{transfer}{shots}", document(transfer, shots, 0, 0, 0))
    assert command.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("| X ") == 4


def test_the_metric_of_a_failed_run_is_not_asked_for(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document("lp_ft", 1, 9, 0.5, 0.5, metric="f1")
    fail(results / "typo", content, "metric=f1: Known: accuracy, nll.")
    assert command.main([str(results)]) == 0
    said = capsys.readouterr().out
    assert "Metric: accuracy" in said and "metric=f1: Known: accuracy, nll." in said


def test_a_failed_run_without_a_choice_is_no_obstacle(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document("lp_ft", 1, 9, 0, 0)
    fail(results / "none", {**content, "choices": {"target": "optdigits"}}, "transfer: choose one option")
    assert command.main([str(results)]) == 0
    said = capsys.readouterr().out
    assert "| unset" in said and "transfer: choose one option" in said


def test_results_of_different_code_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, code in enumerate(["old", "new", "new"]):
        write(tmp_path / str(seed), {**document("lp_ft", 5, seed, 0.7, 0.6), "code": code})
    assert command.main([str(tmp_path)]) == 0
    assert "computed by 2 versions of the code: old (1 run(s)), new (2 run(s))." in capsys.readouterr().out
    write(tmp_path / "0", {**document("lp_ft", 5, 0, 0.7, 0.6), "code": "new"})
    assert command.main([str(tmp_path)]) == 0
    assert "versions of the code" not in capsys.readouterr().out
