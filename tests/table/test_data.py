"""A table as data: nothing of it is lost, and what follows from the values is made anew when it is read."""

import json
from pathlib import Path

import pytest
from scipy import stats
from toys.results import ACCURACY, TASKS, TOGETHER, document, fail, fill, joint, refusal, write

from xlearn.table import command
from xlearn.table.arguments import FORMATS
from xlearn.table.data import read_table


def curved(transfer: str, seed: int) -> dict:
    made = document(transfer, 5, seed, 0.7 + seed / 50, 0.5)
    made["config"]["robustness"] = {"missing": {"_target_": "xlearn.robustness.missing"}}
    made["robustness"] = {"missing": {"modality": "image", "levels": [0.0, 1.0], "accuracy": [0.7 + seed / 50, 0.3]}}
    return made


def plain(folder: Path) -> list[str]:
    fill(folder)
    fail(folder / "failed", document("l2_sp", 5, 0, 0, 0))
    return []


def together(folder: Path) -> list[str]:
    for balance in TOGETHER:
        for seed in range(3):
            write(folder / f"{balance}{seed}", joint(balance, seed))
    return [*TASKS]


def spoiled(folder: Path) -> list[str]:
    for transfer in ("scratch", "lp_ft"):
        for seed in range(2):
            write(folder / f"{transfer}{seed}", curved(transfer, seed))
    return ["--curve", "missing"]


def diverged(folder: Path) -> list[str]:
    fill(folder)
    write(folder / "nan", document("lp_ft", 20, 0, float("nan"), 0.5))
    return ["--metric", "accuracy"]


@pytest.mark.parametrize("make", [plain, together, spoiled, diverged])
def test_a_table_read_again_is_the_table_in_every_format(make, tmp_path, capsys):
    words = [str(tmp_path / "runs"), *make(tmp_path / "runs")]
    file = tmp_path / "table.json"
    assert command.main([*words, "--out", str(file)]) == 0
    capsys.readouterr()
    for form in FORMATS:
        assert command.main([*words, "--format", form]) == 0
        before = capsys.readouterr().out
        assert command.main([str(file), "--format", form]) == 0
        assert capsys.readouterr().out == before, form


def test_values_of_every_seed_and_the_command_are_written(tmp_path, capsys):
    runs = fill(tmp_path / "my runs")
    file = tmp_path / "table.json"
    assert command.main([str(runs), "--out", str(file), "--where", "transfer=scratch,lp_ft", "--format", "json"]) == 0
    content = json.loads(file.read_text())
    assert content["command"] == f"xlearn table '{runs}' --where transfer=scratch,lp_ft"
    [cell] = [each for each in content["cells"] if (each["row"], each["column"]) == ("lp_ft", "5")]
    values = ACCURACY["lp_ft", 5]
    assert cell["values"] == [[str(seed), value] for seed, value in enumerate(values)]
    gains, before = ([value for _, value in cell[name]] for name in ("gains", "before"))
    assert gains == pytest.approx([mine - other for mine, other in zip(values, before, strict=True)])
    assert cell["mean"] == pytest.approx(sum(values) / 3) and cell["seconds"] == 3.5
    assert cell["p"] == pytest.approx(stats.ttest_rel(values, ACCURACY["scratch", 5]).pvalue)


def test_tests_and_marks_follow_from_the_values(tmp_path, capsys):
    """An interval or a test of tomorrow needs no run: of what was written only the values count."""
    fill(tmp_path / "runs")
    file = tmp_path / "table.json"
    assert command.main([str(tmp_path / "runs"), "--out", str(file)]) == 0
    content = json.loads(file.read_text())
    for cell in content["cells"]:
        cell |= {"mean": 9, "p": 9, "p_holm": 9, "best": True}
        if (cell["row"], cell["column"]) == ("scratch", "5"):
            cell["values"] = [[seed, 0.99] for seed, _ in cell["values"]]
    file.write_text(json.dumps(content))
    table = read_table(file)
    scratch, other = table.cells["scratch", "5"], table.cells["lp_ft", "5"]
    assert scratch.mean == pytest.approx(0.99) and scratch.best and not other.best
    assert other.p == pytest.approx(stats.ttest_rel(ACCURACY["lp_ft", 5], [0.99] * 3).pvalue)


def test_versions_are_those_of_the_results(tmp_path):
    for seed, version in enumerate(("2.0", "2.1", "2.0")):
        write(tmp_path / "runs" / str(seed), {**document("scratch", 5, seed, 0.5, 0.5), "versions": {"torch": version}})
    assert command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "table.json")]) == 0
    assert json.loads((tmp_path / "table.json").read_text())["versions"] == {"torch": ["2.0", "2.1"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "holds no table of xlearn (JSONDecodeError"),
        ("[1]", "holds no table of xlearn"),
        ('{"metrics": {}}', "holds no table of xlearn (KeyError: 'format'). Name a table.json"),
        (
            '{"format": 99, "command": "xlearn table digits"}',
            "another version of xlearn. Make it again with `xlearn table",
        ),
    ],
)
def test_a_file_that_is_no_table_is_told(content, told, tmp_path, capsys):
    file = tmp_path / "table.json"
    file.write_text(content)
    assert told in refusal([str(file)], capsys)


def test_a_finished_table_is_not_cut_anew(tmp_path, capsys):
    fill(tmp_path / "runs")
    file = tmp_path / "table.json"
    assert command.main([str(tmp_path / "runs"), "--out", str(file)]) == 0
    capsys.readouterr()
    for words, name in ((["--rows", "seed"], "--rows"), (["--where", "seed=0"], "--where"), (["--run"], "--run")):
        assert f"{name}: {file} is a finished table without its runs" in refusal([str(file), *words], capsys)
    assert "is neither a folder nor a table" in refusal([str(tmp_path / "other.json")], capsys)
