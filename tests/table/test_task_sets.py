"""Runs of several tasks that failed, that learn other tasks than the rest, or only one."""

from pathlib import Path

import pytest
from toys.results import TASKS, TOGETHER, document, fail, joint, refusal, rows, write

from xlearn.table import command


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for balance in TOGETHER:
        for seed in range(3):
            write(tmp_path / "runs" / f"{balance}{seed}", joint(balance, seed))
    return tmp_path / "runs"


def test_runs_that_failed_or_learn_no_several_tasks(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "pcgrad2" / "result.json").unlink()
    fail(results / "pcgrad2x", joint("pcgrad", 2))
    for seed in range(3):
        made = joint("pcgrad", seed)
        made["choices"]["balance"] = "gradnorm"
        fail(results / f"broken{seed}", made)
        made["choices"]["balance"] = "mgda"
        fail(results / f"begun{seed}", made, reason=None)
        plain = joint("pcgrad", seed)
        plain["choices"]["balance"] = "none"
        del plain["tasks"], plain["delta_m"]
        write(results / f"plain{seed}", plain)
    assert command.main([str(results), *TASKS]) == 0
    out = capsys.readouterr().out
    found = rows(out)
    assert found["gradnorm"] == ["X", "X", "X", "-", "-"]
    assert found["mgda"] == found["none"] == ["-", "-", "-", "-", "-"]
    assert all("n=2,1X" in each for each in found["pcgrad"][:3])
    assert "3 finished run(s) did not train several tasks in one network" in out
    assert out.count("4 run(s):") == 1 and "n = 3 per cell (seed 0, 1, 2)" in out


def test_without_any_run_of_several_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "done" / "a", document("finetune", 5, 0, 0.6, 0.5))
    assert "Make runs with transfer=joint" in refusal([str(tmp_path / "done"), "--columns", "tasks"], capsys)
    for seed in range(2):
        fail(tmp_path / "failed" / str(seed), joint("uniform", seed))
    assert command.main([str(tmp_path / "failed"), *TASKS]) == 0
    out = capsys.readouterr().out
    assert rows(out) == {"balance": ["mnist5k", "optdigits", "delta_m"], "uniform": ["X", "X", "X"]}


def test_different_sets_of_tasks(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        more = joint("pcgrad", seed, roles=("mnist5k", "fashion", "target"))
        more["choices"]["balance"] = "three"
        write(results / f"three{seed}", more)
    failed = joint("uniform", 0)
    failed["config"]["seed"] = 3
    fail(results / "x", failed)
    assert command.main([str(results), *TASKS]) == 0
    out = capsys.readouterr().out
    found = rows(out)
    assert found["balance"][:4] == ["mnist5k", "fashion", "optdigits", "delta_m"]
    assert found["pcgrad"][1] == found["uniform"][1] == "-"  # a run that failed without this task did not fail in it
    assert "X" in found["uniform"][0] and found["three"][1] != "-"
    assert "their `delta_m` are means over different tasks" in out


def test_tasks_of_the_same_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = joint("uniform", 0, roles=("mnist5k", "first", "target"))
    for role in ("first", "target"):
        made["tasks"][role]["name"] = "mnist5k"
    write(tmp_path / "a", made)
    assert command.main([str(tmp_path), *TASKS]) == 0
    assert rows(capsys.readouterr().out)["balance"][:4] == ["mnist5k", "mnist5k (first)", "mnist5k (target)", "delta_m"]
