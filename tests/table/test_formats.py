"""What `xlearn table` prints in each format, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pandas
import pytest
from toys.results import document, fill, refusal, write

from xlearn.table import command
from xlearn.table.render import escaped


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fill(tmp_path / "runs")


def test_markdown_marks_and_legend(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results)]) == 0
    out = capsys.readouterr().out
    lines = {line.split("|")[1].strip(): line for line in out.splitlines() if line.startswith("|")}
    assert "target.shots=1" in lines["transfer"]
    first, second = lines["lp_ft"].split("|")[2:4]
    assert first.strip() == "**0.625** ± 0.062 (+0.102) *↑ 3.5 s"
    assert second.strip() == "0.710 ± 0.025 (-0.100) *↓ neg. 3.5 s"
    assert "**0.810**" in lines["scratch"]
    for words in (
        "accuracy, higher is better",
        "n = 3 per cell (seed 0, 1, 2)",
        "kept: last",
        "used once",
        "row scratch",
        "2 test(s)",
    ):
        assert words in out
    assert "best_target and oracle need labels" in out


def test_lower_is_better_turns_direction_and_bold(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), "--metric", "nll"]) == 0
    out = capsys.readouterr().out
    assert "nll, lower is better" in out
    assert "**0.375** ± 0.062 (+0.102) *↑" in out
    assert "0.290 ± 0.025 (-0.100) *↓ neg." in out


def test_latex_escapes_and_balances(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), "--format", "latex"]) == 0
    out = capsys.readouterr().out
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"lp\_ft", r"95 \% interval", r"$\pm$", r"\textbf{0.625}"):
        assert part in out
    code = "\n".join(line for line in out.splitlines() if not line.startswith("%"))
    assert not any(mark in code for mark in "±↑↓†`#^~")
    plain = code.replace("\\\\", "").replace(r"\_", "").replace(r"\%", "").replace(r"\{", "").replace(r"\}", "")
    assert "_" not in plain and "%" not in plain
    assert plain.count("{") == plain.count("}")
    assert plain.count(r"\begin{") == plain.count(r"\end{") == 3
    body = [line for line in code.splitlines() if line.endswith(r" \\")]
    assert {line.count(" & ") for line in body} == {2}
    assert escaped("a_b `c&d` \\ [0]") == r"a\_b \texttt{c\&d} \textbackslash{} {[}0]"


def test_html_is_a_page_with_every_cell(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        write(results / f"odd{seed}", document("<b>&", 1, seed, 0.1, 0.5))
    assert command.main([str(results), "--format", "html"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("<!doctype html>") and out.rstrip().endswith("</html>")
    assert out.count("<td>") == 6
    assert "&lt;b&gt;&amp;" in out and "<b>&" not in out
    assert "<b>0.625</b> ± 0.062<small>(+0.102) *↑ 3.5 s</small>" in out


def test_out_takes_the_format_of_its_ending(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(results), "--out", str(tmp_path / "t.csv")]) == 0
    assert len(pandas.read_csv(tmp_path / "t.csv")) == 4
    assert capsys.readouterr().out == f"{tmp_path / 't.csv'}\n"
    assert "File exists" in refusal([str(results), "--out", str(tmp_path / "t.csv" / "x.md")], capsys)


@pytest.mark.parametrize(
    ("extra", "parts"),
    [
        (["--metric", "acuracy"], ["acuracy", "'accuracy'"]),
        (["--rows", "transfr"], ["transfr", "'transfer'"]),
        (["--columns", "target"], ["(row, column, seed)", "target.shots: 1 and 5"]),
        (["--columns", "target.shot"], ["target.shot:", "'target.shots'"]),
        (["--columns", "transfer.phases.lp_ft"], ["transfer.phases.lp_ft holds several keys", "transfer.phases.lp_ft.reads"]),
        (["--against", "scrath"], ["scrath", "'scratch'"]),
        (["--where", "target.shots=7"], ["target.shots=7", "Known: 1, 5"]),
        (["--where", "target.shots"], ["write KEY=VALUE"]),
        (["--rows", ","], ["need a key"]),
        (["seed=0"], ["--where seed=0"]),
        (["digit"], ["digit is neither a folder nor a table", "'digits'"]),
        (["--run"], ["--run needs the name of a table"]),
        (["digits"], ["one table, or folders"]),
        (["--config-dir", "not/there"], ["not/there: there is no such folder"]),
    ],
)
def test_refusals_name_the_thing_and_the_fix(
    extra: list[str], parts: list[str], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal([str(results), *extra], capsys)
    for part in parts:
        assert part in told


def test_no_and_unreadable_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There are no results in" in refusal([str(tmp_path)], capsys)
    assert "Say what to show" in refusal([], capsys)
    write(tmp_path / "a", {"config": {}})
    assert "is no complete result of xlearn train: " in refusal([str(tmp_path)], capsys)
    (tmp_path / "a" / "result.json").write_text("{")
    assert "cannot be read" in refusal([str(tmp_path)], capsys)
    (tmp_path / "a" / "result.json").unlink()
    (tmp_path / "a" / "error.txt").write_text("broken")
    assert "does not say which one" in refusal([str(tmp_path)], capsys)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom xlearn.table.command import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'hydra', 'omegaconf', 'pandas', 'scipy', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
