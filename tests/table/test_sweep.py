"""Tables of `conf/table`: the sweep is known, so what is missing is too. Nothing is trained here."""

import json
from pathlib import Path

import pytest
import yaml
from toys.results import finish

from xlearn.commands import sweep
from xlearn.commands.jobs import Job
from xlearn.config.folders import conf_folder, options
from xlearn.runtime.errors import Problem
from xlearn.table import command
from xlearn.table.definition import Definition, read_definition
from xlearn.table.sweep import runs

# The smaller ones here: a table of many combinations of groups takes seconds to compose.
TABLES = [
    pytest.param(name, marks=[] if name in ("digits", "retrieval", "spoken_digits") else [pytest.mark.slow])
    for name in options("table", [conf_folder()])
]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_of_the_project_is_understood(work: Path, name: str) -> None:
    records, folder, others = runs(read_definition(options("table", [conf_folder()])[name]), [], [])
    assert folder == Path("outputs") / name
    assert others == []
    assert len({json.dumps(record.config, sort_keys=True) for record in records}) == len(records)


def test_digits_is_45_runs_in_the_order_of_the_sweep(work: Path) -> None:
    records, _, _ = runs(read_definition(options("table", [conf_folder()])["digits"]), [], [])
    places = [(each.choices["transfer"], each.config["target"]["shots"], each.config["seed"]) for each in records]
    transfers = ("scratch", "linear_probe", "finetune", "lp_ft", "l2_sp")
    assert places == [(transfer, shots, seed) for transfer in transfers for shots in (1, 5, 20) for seed in (0, 1, 2)]
    assert {each.config["experiment"] for each in records} == {"digits"}


def test_extra_overrides_replace_those_of_the_sweep() -> None:
    definition = Definition("a", ["transfer=scratch,finetune", "seed=0,1"])
    assert definition.commands(["seed=5", "budget=quick"])[""] == [
        "experiment=a",
        "transfer=scratch,finetune",
        "seed=5",
        "budget=quick",
    ]


def test_missing_cells_and_published_numbers(work: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = read_definition(mine / "table" / "small.yaml")
    records, folder, _ = runs(definition, [], [mine])
    assert len(records) == 8
    finish(records[0], folder / "anywhere")
    assert command.main(["small", "--config-dir", str(mine)]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    assert rows[0] == ["transfer", "target.shots=1", "target.shots=null"]
    assert rows[1] == ["scratch", "**0.500** (+0.100) n=1 1.0 s", "-"]
    assert rows[2] == ["finetune", "-", "-"]
    assert rows[4] == ["finetune", "1", "0.91", "10 seeds, their own split"]
    for form, part in (("latex", "their own split"), ("html", "their own split"), ("csv", "0.91,")):
        assert command.main(["small", "--config-dir", str(mine), "--format", form]) == 0
        assert part in capsys.readouterr().out


def test_runs_of_other_sweeps_are_left_out_and_told(work: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = read_definition(mine / "table" / "small.yaml")
    quick, folder, _ = runs(definition, ["budget=quick"], [mine])
    finish(quick[0], folder / "quick")
    assert command.main(["small", "--config-dir", str(mine)]) == 1
    told = capsys.readouterr().err
    assert "no results of table small in outputs/small yet. 1 other run(s)" in told
    assert "budget quick" in told and "computes its 8 runs" in told
    assert command.main(["small", "--config-dir", str(mine), "budget=quick"]) == 0


def test_run_sweeps_first_writes_every_format_and_keeps_the_status(
    work: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[tuple[str, ...]]] = []
    status = 0

    def swept(jobs: list[Job]) -> int:
        asked.append([job.overrides for job in jobs])
        print("a job's line")
        records, folder, _ = runs(read_definition(mine / "table" / "small.yaml"), ["seed=3"], [mine])
        finish(records[-1], folder / "last")
        return status

    monkeypatch.setattr(sweep, "run_jobs", swept)
    words = ["small", "--run", "--config-dir", str(mine), "seed=3"]
    assert command.main(words) == 0
    assert len(asked) == 1 and len(asked[0]) == 4 and asked[0][0] == ("transfer=scratch", "target.shots=1")
    captured = capsys.readouterr()
    assert "a job's line" in captured.err and "a job's line" not in captured.out
    assert (work / "outputs" / "small" / "table.md").read_text() == captured.out
    assert {file.suffix for file in (work / "outputs" / "small").glob("table.*")} == {".md", ".tex", ".csv", ".html", ".json"}
    status = 1
    assert command.main(words) == 1
    assert "| finetune" in capsys.readouterr().out
    status = 130
    assert command.main(words) == 130
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"swep": []}, "'sweep'"),
        ({"experiment": None}, "experiment is missing"),
        ({"sweep": "seed=0"}, "is no list of overrides"),
        ({"reference": {"a": {1: 0.5}}}, "reference.a.1=0.5"),
        ({"reference": {"a": 0.5}}, "reference.a.None=0.5"),
        ({"sweep": None}, "sweep is missing"),
        ({"sweep": None, "sweeps": {"a": "seed=0"}}, "sweeps.a='seed=0' is no list of overrides"),
        ({"sweep": None, "sweeps": "seed=0"}, "is no mapping"),
        ({"bounds": ["majorty"]}, "'majority'"),
        ({"bounds": 3}, "bounds=3 is no list"),
        ({"rows": ["transfer"]}, "rows=['transfer'] is no text"),
    ],
)
def test_a_wrong_table_file_is_refused(work: Path, mine: Path, change: dict, part: str) -> None:
    file = mine / "table" / "small.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(Problem) as caught:
        read_definition(file)
    assert part in str(caught.value)


def test_a_wrong_override_names_the_nearest_key(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for word, nearest in (("target.shot=1,2", "'shots'"), ("transfer=finetun", "'finetune'")):
        assert command.main(["digits", word]) == 1
        assert nearest in capsys.readouterr().err


def test_what_cannot_be_composed_is_told_once(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["digits", "--run", "transfer="]) == 1
    assert capsys.readouterr().err.count("error:") == 1
    assert command.main(["digits", "transfer="]) == 1
    assert capsys.readouterr().err.count("error:") == 1
    assert command.main(["digits", "regularizer=[l1,l2]"]) == 1
    assert "regularizer: choose one option" in capsys.readouterr().err


SWEEPS = {"plain": ["transfer=scratch", "seed=0,1"], "slow, long": ["transfer=finetune", "optimizer.lr=1e-4", "seed=0,1"]}


def several(mine: Path, sweeps: object, **more: object) -> Path:
    file = mine / "table" / "several.yaml"
    file.write_text(yaml.safe_dump({"experiment": "several", "sweeps": sweeps, "rows": "sweep", **more}))
    return file


def test_several_sweeps_are_rows_of_one_table(work: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = read_definition(several(mine, SWEEPS))
    records, folder, _ = runs(definition, ["seed=0,1,2"], [mine])
    assert [(each.sweep, each.config["seed"]) for each in records] == [(label, seed) for label in SWEEPS for seed in (0, 1, 2)]
    assert {each.config["optimizer"]["lr"] for each in records[3:]} == {1e-4}
    for number, record in enumerate(records[:5]):
        finish(record, folder / str(number), 0.5 + number / 10)
    assert command.main(["several", "--config-dir", str(mine), "seed=0,1,2"]) == 0
    out = capsys.readouterr().out
    assert "| plain " in out and "n=2" in out and "The runs also differ" not in out
    assert command.main(["several", "--config-dir", str(mine), "--where", "sweep=plain"]) == 0
    capsys.readouterr()
    assert [*read_definition(several(mine, [["seed=0"], ["seed=1"]])).sweeps] == ["1", "2"]


def test_what_all_sweeps_begin_with(mine: Path) -> None:
    file = several(mine, {"a": ["seed=1"], "b": ["transfer=scratch"]}, sweep=["seed=0", "target.shots=1"])
    assert read_definition(file).commands(["target.shots=2"]) == {
        "a": ["experiment=several", "seed=1", "target.shots=2"],
        "b": ["experiment=several", "seed=0", "target.shots=2", "transfer=scratch"],
    }


@pytest.mark.slow
def test_a_run_of_two_sweeps_is_in_both_rows(work: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = {"a": ["transfer=scratch,finetune", "seed=0"], "b": ["transfer=scratch", "seed=0,1"]}
    several(mine, both, columns="transfer")
    records, folder, _ = runs(read_definition(mine / "table" / "several.yaml"), [], [mine])
    for number, record in enumerate(records[1:]):
        finish(record, folder / str(number))
    assert command.main(["several", "--config-dir", str(mine), "--format", "csv"]) == 0
    lines = {tuple(line.split(",")[:3]) for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines == {("a", "scratch", "1"), ("a", "finetune", "1"), ("b", "scratch", "2"), ("b", "finetune", "0")}
    assert command.main(["several", "--config-dir", str(mine), "--rows", "transfer", "--columns", "target.shots"]) == 0
    assert "other run(s)" not in capsys.readouterr().out


def test_the_runs_of_all_sweeps_are_one_list(
    work: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = several(mine, SWEEPS)
    asked: list[list[str]] = []

    def swept(jobs: list[Job]) -> int:
        asked.append([f"{job.content['choices']['transfer']} {job.content['optimizer']['lr']}" for job in jobs])
        records, folder, _ = runs(read_definition(file), [], [mine])
        curve = {"missing": {"modality": "image", "levels": [0.0, 1.0], "accuracy": [0.5, 0.2]}}
        for number, record in enumerate(records):
            finish(record, folder / str(number))
            content = json.loads((folder / str(number) / "result.json").read_text())
            (folder / str(number) / "result.json").write_text(json.dumps({**content, "robustness": curve}))
        return 1

    monkeypatch.setattr(sweep, "run_jobs", swept)
    assert command.main(["several", "--run", "--config-dir", str(mine), "seed=0"]) == 1
    assert asked == [["scratch 0.001", "finetune 0.0001"]]
    names = {each.name for each in (work / "outputs" / "several").glob("curve_*")}
    assert names == {"curve_missing.json", "curve_missing.md", "curve_missing.png"}
    assert [*json.loads((work / "outputs" / "several" / "curve_missing.json").read_text())["rows"]] == [*SWEEPS]
