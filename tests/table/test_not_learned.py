"""Networks that have not learned, in tables: a mark, and no test against them; and columns of steps where these differ."""

import json
from pathlib import Path

import pytest
from toys.results import TASKS, document, entry, fill, frame, write

from xlearn.table import command
from xlearn.table.data import read_table


def changed(folder: Path, change) -> None:
    for file in folder.rglob("result.json"):
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert command.main(words) == 0
    return capsys.readouterr().out


def test_results_without_the_field_count_as_learned(tmp_path, capsys):
    out = printed([str(fill(tmp_path))], capsys)
    assert "‡" not in out and "not learned" not in out and "steps" not in out


def test_one_seed_that_has_not_learned_takes_the_test_of_its_column(tmp_path, capsys):
    """With one label the baseline of seed 1 has not learned; the column of five labels keeps its tests."""

    def change(content):
        shots, seed = content["config"]["target"]["shots"], content["config"]["seed"]
        weak = shots == 1 and seed == 1
        content["baseline"]["learned"] = not weak
        content["learned"] = not (weak and content["choices"]["transfer"] == "scratch")

    before = frame([str(fill(tmp_path))], capsys)
    changed(tmp_path, change)
    found = frame([str(tmp_path)], capsys)
    assert before.p.notna().sum() == 2 and found.p.notna().sum() == 1
    assert [str(column) for _, column in found[found.p.notna()].index] == ["5"]
    assert found["mean"].tolist() == before["mean"].tolist() and found.gain.tolist() == before.gain.tolist()
    out = printed([str(tmp_path)], capsys)
    scratch, other = (next(line for line in out.splitlines() if line.startswith(f"| {row} ")) for row in ("scratch", "lp_ft"))
    assert scratch.count("‡") == 2 and other.count("‡") == 1  # the mean and the gain; the gain
    assert "`‡`: not learned" in out


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_has_it_and_the_file_of_a_table_is_read_again(form, tmp_path, capsys):
    fill(tmp_path / "runs")
    changed(tmp_path, lambda content: content["baseline"].update(learned=False))
    out = printed([str(tmp_path / "runs"), "--format", form], capsys)
    assert {"latex": r"\textdaggerdbl{}", "csv": "baseline_not_learned", "json": '"baseline_not_learned": 3'}.get(
        form, "‡"
    ) in out
    if form == "json":
        file = tmp_path / "table.json"
        content = json.loads(out)
        file.write_text(out)
        assert read_table(file).cells["lp_ft", "1"].baseline_not_learned == 3
        for cell in content["cells"]:  # as an earlier version wrote it
            for name in ("not_learned", "baseline_not_learned", "steps", "baseline_steps"):
                del cell[name]
        file.write_text(json.dumps(content))
        assert read_table(file).cells["lp_ft", "1"].baseline_not_learned == 0


def test_steps_are_columns_where_rows_or_baselines_differ(tmp_path, capsys):
    fill(tmp_path)

    def change(content):
        content["steps"], content["baseline"]["steps"] = (600 if content["choices"]["transfer"] == "lp_ft" else 300), 300

    changed(tmp_path, change)
    out = printed([str(tmp_path)], capsys)
    head, _, *rows = [line for line in out.splitlines() if line.startswith("|")]
    assert [each.strip() for each in head.strip("|").split("|")][-2:] == ["steps", "baseline steps"]
    ends = {row.split("|")[1].strip(): [each.strip() for each in row.strip("|").split("|")][-2:] for row in rows}
    assert ends == {"scratch": ["300", "300"], "lp_ft": ["600", "300"]}
    changed(tmp_path, lambda content: content["baseline"].update(steps=content["steps"]))
    assert "baseline steps" in printed([str(tmp_path)], capsys)
    changed(tmp_path, lambda content: (content.update(steps=300), content["baseline"].update(steps=300)))
    assert "steps" not in printed([str(tmp_path)], capsys)


def test_a_scratch_row_of_unequal_steps_is_left_out_with_the_reason(tmp_path, capsys):
    for seed in range(2):
        for transfer, steps in (("lp_ft", 600), ("finetune", 300)):
            made = document(transfer, 5, seed, 0.7, 0.5 + steps / 10000)
            made["baseline"]["steps"] = steps
            write(tmp_path / f"{transfer}{seed}", made)
    out = printed([str(tmp_path), "--bounds", "scratch"], capsys)
    assert "There is no row `scratch`" in out and "with 300 and 600 steps" in out


def test_there_is_no_delta_m_without_its_single_tasks(tmp_path, capsys):
    for seed in range(2):
        made = document("joint", 5, seed, 0.6, 0.5)
        made["choices"]["balance"] = "equal"
        made["tasks"] = {"mnist5k": entry("mnist5k", 0.8, 0.7), "target": entry("optdigits", 0.6, 0.5)}
        made["delta_m"] = {"accuracy": 0.1} if seed else {}
        made["tasks"]["mnist5k"]["single"]["learned"] = bool(seed)
        write(tmp_path / str(seed), made)
    out = printed([str(tmp_path), *TASKS], capsys)
    assert "1 run(s) have no `delta_m`, because a single-task network has not learned" in out
    found = frame([str(tmp_path), *TASKS], capsys)
    assert found.n["equal", "delta_m"] == 1
