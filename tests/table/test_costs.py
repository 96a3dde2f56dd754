"""What the rows of a table cost, on results written by hand."""

from pathlib import Path

import pytest
from toys.results import TASKS, document, frame, joint, rows, write

from xlearn.commands.units import compact, megaflops
from xlearn.table import command
from xlearn.table.collect import collect
from xlearn.table.measures import measure, numbers, reading

COSTS = {"scratch": (112_300, 4.6e6), "l2_sp": (1_413_000, 21_300.0)}


def costly(transfer: str, seed: int, shots: int = 5, cost: tuple[float, float] | None = None) -> dict:
    parameters, flops = cost or COSTS[transfer]
    made = document(transfer, shots, seed, 0.6 + seed / 10, 0.5)
    made["cost"] = {"parameters": parameters, "flops": flops, "trained": parameters}
    made["baseline"]["cost"] = {"parameters": 900, "flops": 1e6}
    return made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for transfer in COSTS:
        for seed in range(2):
            write(tmp_path / "runs" / f"{transfer}{seed}", costly(transfer, seed))
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("number", "short"),
    [
        (0, "0"),
        (512, "512"),
        (999.6, "1k"),
        (1200, "1.2k"),
        (112_300, "112k"),
        (999_600, "1M"),
        (1_413_000, "1.41M"),
        (2e9, "2B"),
    ],
)
def test_short_numbers(number: float, short: str) -> None:
    assert compact(number) == short


def test_short_operations() -> None:
    assert [megaflops(each) for each in (21_300, 4.6e6, 123.4e6, 12_345e6)] == ["0.0213", "4.6", "123", "12300"]


def test_two_columns_at_the_right(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results)]) == 0
    out = capsys.readouterr().out
    found = rows(out)
    assert found["transfer"][-2:] == ["parameters", "MFLOPs"]
    assert (found["scratch"][-2:], found["l2_sp"][-2:]) == (["112k", "4.6"], ["1.41M", "0.0213"])
    assert out.count("Parameters: those used to predict the target. MFLOPs: million") == 1
    assert frame([str(results)], capsys).loc[("l2_sp", 5), ["parameters", "flops"]].tolist() == [1_413_000, 21_300]
    assert command.main([str(results), "--format", "latex"]) == 0
    out = capsys.readouterr().out
    assert r"\begin{tabular}{lcrr}" in out and r"target.shots=5 & parameters & MFLOPs \\" in out and r"& 112k & 4.6 \\" in out
    assert command.main([str(results), "--format", "html"]) == 0
    out = capsys.readouterr().out
    assert "<th>parameters</th><th>MFLOPs</th>" in out and "<td>1.41M</td><td>0.0213</td></tr>" in out


def test_a_range_where_columns_differ_and_the_mean_of_repeated_runs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, parameters in enumerate((3000, 3800)):
        write(results / f"more{seed}", costly("scratch", seed, shots=20, cost=(parameters, 4.6e6)))
    assert command.main([str(results)]) == 0
    assert rows(capsys.readouterr().out)["scratch"][-2:] == ["3.4k-112k", "4.6"]


def test_bounds_cost_what_they_have(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = costly("scratch", 0)
    made["majority"] = {"accuracy": 0.2}
    made["alone"] = {"image": {"metrics": {"accuracy": 0.4}, "phases": [], "cost": {"parameters": 700, "flops": 5e5}}}
    write(results / "scratch0", made)
    flags = ["--bounds", "alone,majority,scratch", "--where", "transfer=scratch", "--where", "seed=0"]
    assert command.main([str(results), *flags]) == 0
    found = rows(capsys.readouterr().out)
    assert (found["image alone"][-2:], found["majority class"][-2:]) == (["700", "0.5"], ["-", "-"])
    assert command.main([str(results), "--bounds", "scratch", "--where", "transfer=l2_sp"]) == 0
    assert rows(capsys.readouterr().out)["scratch"][-2:] == ["900", "1"]


def test_no_such_columns_where_nothing_differs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--where", "transfer=scratch"]
    assert command.main([str(results), *flags]) == 0
    out = capsys.readouterr().out
    assert "parameters" not in out and "FLOPs" not in out
    assert "parameters" not in frame([str(results), *flags], capsys)
    for seed in range(2):
        write(results / f"l2_sp{seed}", document("l2_sp", 5, seed, 0.7, 0.5))  # made before costs were counted
    assert command.main([str(results)]) == 0
    assert "parameters" not in capsys.readouterr().out


def test_of_all_tasks_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a", joint("uniform", 0))
    assert command.main([str(tmp_path), *TASKS]) == 0
    out = capsys.readouterr().out
    # One network for both tasks, against one for each: the parameters of two, the operations of the target's.
    assert rows(out)["uniform"][-2:] == ["1.5k", "2.5"]
    assert rows(out)["single task"][-2:] == ["2k", "2"]
    assert "Parameters: those of the whole joint network (`single task`: the sum over" in out
    older = joint("uniform", 0)
    del older["cost"]["all_parameters"]
    write(tmp_path / "a", older)
    assert command.main([str(tmp_path), *TASKS]) == 0
    out = capsys.readouterr().out
    assert rows(out)["uniform"][-2:] == ["1.2k", "2.5"]
    assert "Parameters: those used to predict the target (`single task`: the sum" in out
    del older["cost"]
    for each in older["tasks"].values():
        del each["single"]["cost"]
    write(tmp_path / "a", older)
    assert command.main([str(tmp_path), *TASKS]) == 0
    assert "parameters" not in capsys.readouterr().out


def test_the_interval_over_tasks_of_few_examples_is_a_number_of_a_result(tmp_path: Path) -> None:
    for seed in range(2):
        made = costly("scratch", seed)
        made["episodes"] = {"ways": 5, "count": 600, "interval": 0.01 + seed / 100, "curve": {"step": [0]}}
        made["baseline"]["episodes"] = {"count": 600, "interval": 0.05}
        assert numbers(made)["episodes.interval"] == 0.01 + seed / 100 and "episodes.ways" not in numbers(made)
        write(tmp_path / "runs" / str(seed), made)
    found = measure(collect([tmp_path / "runs"]), "episodes.interval")
    assert not found.higher
    read = reading(made, found)
    assert read is not None and read.value == 0.02 and read.gain == pytest.approx(0.03)
