"""Columns that are the tasks of runs which learn several in one network, on results written by hand."""

import json
from pathlib import Path

import pytest
import yaml
from scipy import stats
from toys.results import BEFORE, TASKS, TOGETHER, frame, joint, refusal, relative, rows, write

from xlearn.table import command
from xlearn.table.collect import collect
from xlearn.table.definition import read_definition
from xlearn.table.tabulate import tabulate

# By hand: the mean of -5 % and 20 %, 10 %, 10 %.
DELTA = {"uniform": [0.075, 0.025, 0.025]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for balance in TOGETHER:
        for seed in range(3):
            write(tmp_path / "runs" / f"{balance}{seed}", joint(balance, seed))
    return tmp_path / "runs"


def test_every_task_is_a_column_beside_itself_alone(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), *TASKS], capsys)
    columns = ["mnist5k", "optdigits", "delta_m"]
    assert [*found.index] == [(row, column) for row in ("pcgrad", "uniform", "single task") for column in columns]
    for column, role in zip(columns, BEFORE, strict=False):
        line = found.loc[("uniform", column)]
        values = TOGETHER["uniform"][role]
        assert line["mean"] == pytest.approx(sum(values) / 3)
        assert line["gain"] == pytest.approx((sum(values) - sum(BEFORE[role])) / 3)
        assert line["p"] == pytest.approx(stats.ttest_rel(values, BEFORE[role]).pvalue)
        assert found.loc[("single task", column), ["mean", "gain"]].tolist() == pytest.approx([sum(BEFORE[role]) / 3, 0])
    assert found.loc[("uniform", "mnist5k"), "negative"] and not found.loc[("uniform", "optdigits"), "negative"]
    delta = found.loc[("uniform", "delta_m")]
    low, high = stats.t.interval(0.95, 2, loc=0.125 / 3, scale=stats.sem(DELTA["uniform"]))
    assert delta[["mean", "low", "high"]].tolist() == pytest.approx([0.125 / 3, low, high])
    assert delta["p"] == pytest.approx(stats.ttest_1samp(DELTA["uniform"], 0).pvalue)
    assert delta["metric"] == "delta_m.accuracy"
    assert found.loc[("single task", "delta_m"), ["mean", "seconds", "n"]].tolist() == [0, 5, 3]
    tests = found["p"].dropna()
    assert len(tests) == 6 and found["p_holm"].max() <= 6 * tests.max()
    assert set(found["against"]) == {"baseline"}


def test_what_is_printed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), *TASKS]) == 0
    out = capsys.readouterr().out
    found = rows(out)
    assert found["balance"][:3] == ["mnist5k", "optdigits", "delta_m"]
    assert found["uniform"][0] == "0.779 ± 0.047 (-0.041) *↓ neg."
    assert found["uniform"][2] == "+4.17 % ± 7.17 % 3.5 s"  # no parentheses; the seconds of all tasks
    assert found["pcgrad"][2].startswith("**+")
    assert found["single task"][1:3] == ["0.467 ± 0.143 (+0.000)", "+0.00 % ± 0.00 % 5.0 s"]
    for words in (
        "`delta_m`: the mean over the tasks of a run of (joint - single) / single in accuracy, in percent",
        "(Maninis et al., CVPR 2019). `single task` has 0.",
        "`single task`: the task trained in a separate network, with the same labels, split, budget and seed.",
        "In parentheses: mean gain over the task trained in a separate network (same labels, split, budget and seed)",
        "Seconds, under `delta_m`: mean training time per run, all phases and tasks together",
        "than the task trained in a separate network (single task; `delta_m`: than 0), paired t test",
    ):
        assert words in out
    assert "scratch" not in out and "own baseline" not in out


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_formats(form: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), *TASKS, "--format", form]) == 0
    out = capsys.readouterr().out
    parts = {
        "markdown": ["+4.17 % ± 7.17 %", "| parameters | MFLOPs |"],
        "latex": [r"+4.17 \% $\pm$ 7.17 \%", r"delta\_m & parameters & MFLOPs \\", "{lcccrr}", r"single task & "],
        "html": [
            "+4.17 % ± 7.17 %<small>3.5 s</small>",
            "<th>delta_m</th><th>parameters</th>",
            "accuracy by balance and tasks",
        ],
    }
    for part in parts[form]:
        assert part in out
    if form == "latex":
        assert {line.count(" & ") for line in out.splitlines() if line.endswith(r" \\")} == {5}


def test_lower_is_better_except_for_delta_m(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = frame([str(results), *TASKS, "--metric", "nll"], capsys)
    assert found.loc[("uniform", "delta_m"), "mean"] == pytest.approx(-0.125 / 3)
    assert found.loc[("uniform", "optdigits"), "gain"] > 0
    assert command.main([str(results), *TASKS, "--metric", "nll"]) == 0
    printed = rows(capsys.readouterr().out)
    assert printed["single task"][2].startswith("**+0.00 %**")  # the others are below 0
    assert "neg.?" in printed["uniform"][2]
    assert printed["pcgrad"][1].startswith("**0.427**")


def test_a_number_without_delta_m_has_no_such_column(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metric = ["--metric", "per_class.c0.f1"]
    found = frame([str(results), *TASKS, *metric], capsys)
    assert {column for _, column in found.index} == {"mnist5k", "optdigits"}
    assert found.loc[("uniform", "optdigits"), ["mean", "gain"]].tolist() == pytest.approx([0.265, 0.265 - 1.4 / 6])
    assert command.main([str(results), *TASKS, *metric]) == 0
    out = capsys.readouterr().out
    assert "delta_m" not in out and "Seconds" not in out
    one = joint("pcgrad", 0)
    del one["tasks"]["target"]["metrics"]["per_class"]
    write(results / "pcgrad0", one)
    assert command.main([str(results), *TASKS, *metric]) == 0
    assert "1 finished run(s) have no per_class.c0.f1 for some of their tasks" in capsys.readouterr().out
    del one["delta_m"]["accuracy"]
    write(results / "pcgrad0", one)
    assert command.main([str(results), *TASKS]) == 0
    assert "n=2" in rows(capsys.readouterr().out)["pcgrad"][2]


def test_bounds_and_rows_to_test_against(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {row for row, _ in frame([str(results), *TASKS, "--bounds", "none"], capsys).index} == {*TOGETHER}
    found = frame([str(results), *TASKS, "--bounds", "single,scratch"], capsys)
    assert found.loc[("scratch", "optdigits"), "mean"] == pytest.approx(0.45)
    assert found.loc["scratch", "mean"].isna().tolist() == [True, False, True]
    against = frame([str(results), *TASKS, "--against", "uniform"], capsys)
    both = [[relative(balance, seed) for seed in range(3)] for balance in ("pcgrad", "uniform")]
    assert against.loc[("pcgrad", "delta_m"), "p"] == pytest.approx(stats.ttest_rel(*both).pvalue)
    alone = frame([str(results), *TASKS, "--against", "single task"], capsys)
    own = frame([str(results), *TASKS], capsys)
    assert alone["p"].dropna().tolist() == pytest.approx(own["p"].dropna().tolist())
    # Of a whole run, the target alone.
    ordinary = frame([str(results), "--rows", "balance", "--bounds", "single"], capsys)
    assert ordinary.loc[("single task", 5), ["mean", "seconds"]].tolist() == pytest.approx([1.4 / 3, 2.5])


def test_single_tasks_that_differ_are_no_row(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = joint("pcgrad", 0)
    other["tasks"]["target"]["single"]["metrics"]["accuracy"] = 0.3
    write(results / "pcgrad0", other)
    assert command.main([str(results), *TASKS, "--against", "single task"]) == 0
    out = capsys.readouterr().out
    assert "| single task" not in out and "There is no row `single task`" in out and "than the task trained in a" in out


@pytest.mark.parametrize("rule", ["best_mean", "best_each"])
def test_rules_of_selection_are_explained(rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", joint("uniform", 0, selection=[rule]))
    assert command.main([str(tmp_path), *TASKS]) == 0
    out = capsys.readouterr().out
    assert f"Weights kept: {rule}." in out
    for name, words in {
        "best_mean": "one checkpoint for all tasks",
        "best_each": "a checkpoint per task",
    }.items():
        assert (f"{name}: " in out and words in out) == (name == rule)


def test_numbers_of_runs_in_other_columns(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ordinary = [str(results), "--rows", "balance", "--metric"]
    expected = {
        "delta_m": 0.125 / 3, "delta_m.nll": -0.125 / 3, "tasks.mnist5k.accuracy": 0.779, "tasks.target.nll": 0.47,
        "cost.parameters": 1200, "cost.flops": 2.5e6,
    }  # fmt: skip
    for metric, value in expected.items():
        assert frame([*ordinary, metric], capsys).loc[("uniform", 5), "mean"] == pytest.approx(value), metric
        assert command.main([*ordinary, metric]) == 0
        out = capsys.readouterr().out
        higher = metric.startswith("delta_m") or metric.endswith("accuracy")
        assert f"Metric: {metric}, {'higher' if higher else 'lower'} is better" in out
        assert ("Maninis" in out) == metric.startswith("delta_m")
    assert command.main([*ordinary, "cost.parameters"]) == 0
    assert "**1200** ± 0.000" in capsys.readouterr().out
    assert "'delta_m" in refusal([*ordinary, "delta_m.acuracy"], capsys)
    assert "is a column of tasks already" in refusal([str(results), *TASKS, "--metric", "delta_m"], capsys)
    assert "excludes others" in refusal([str(results), "--columns", "tasks,target.shots"], capsys)


def test_the_file_of_a_table(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "several.yaml"
    content = {"experiment": "a", "sweep": ["seed=0"], "rows": "balance", "columns": "tasks"}
    file.write_text(yaml.safe_dump(content))
    definition = read_definition(file)
    assert definition.bounds is None
    table = tabulate(collect([results]), [definition.rows], [definition.columns], None, None, added=definition.bounds)
    assert table.rows == ("pcgrad", "uniform", "single task")
    file.write_text(yaml.safe_dump({**content, "bounds": ["single", "majority"]}))
    assert read_definition(file).bounds == ("single", "majority")
    # Its curve has levels as columns, and no tasks.
    for place in results.iterdir():
        made = json.loads((place / "result.json").read_text())
        made["robustness"] = {"missing": {"modality": "image", "levels": [0.0, 1.0], "accuracy": [0.5, 0.2]}}
        write(place, made)
    assert command.main([str(results), *TASKS, "--curve", "missing"]) == 0
    assert "missing=1" in capsys.readouterr().out
