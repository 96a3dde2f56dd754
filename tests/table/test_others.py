"""Folders of runs that others have made: plain data, never computed, never obeyed, in no format."""

import os
import threading
from pathlib import Path

import pandas
import pytest
from toys.results import document, write

from xlearn.commands.single import write_configuration
from xlearn.results.plain import read_configuration, read_json
from xlearn.runtime.printable import in_one_line, no_formula, printable
from xlearn.table import command
from xlearn.table.render import escaped, in_markdown

ESC = "\x1b[31m"
EVIL = f'=HYPERLINK("x")|<script>alert(1)</script>{ESC}\n\\input{{x}} & _%'


def run(folder: Path, config: str, chosen: str = "transfer: finetune") -> Path:
    """A run that did not finish."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(config, encoding="utf-8")
    text = f"hydra: {{runtime: {{choices: {{{chosen}, target: optdigits}}}}}}\n"
    (folder / ".hydra" / "hydra.yaml").write_text(text, encoding="utf-8")
    return folder


CONFIG = """seed: 0
metric: accuracy
source: {{}}
transfer: {{carry: true, phases: {{}}}}
target: {{shots: 5, head: "{}"}}
"""


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    command.main([*words])
    found = capsys.readouterr()
    return found.out + found.err


def test_no_interpolation_of_others_is_resolved(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SECRET_OF_MINE", "hunter2")
    folder = run(tmp_path / "a", CONFIG.format("${oc.env:SECRET_OF_MINE}"))
    write(tmp_path / "b", document("finetune", 5, 0, 0.5, 0.4))
    assert "hunter2" not in printed(capsys, str(tmp_path), "--rows", "target.head")
    config = read_configuration(folder / ".hydra" / "config.yaml")
    assert config["target"]["head"] == "${oc.env:SECRET_OF_MINE}"


def test_references_to_other_keys_are_their_values(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "a: 3\nb: {c: '${a}'}\nd: '${first:${e},${b.c}}'\ne: null\nf: '${f}'\ng: '${b}'\nh: 'x ${a}'\n", encoding="utf-8"
    )
    found = read_configuration(file)
    assert (found["b"]["c"], found["d"], found["f"], found["g"], found["h"]) == (3, 3, "${f}", "${b}", "x ${a}")


def test_nothing_named_in_a_target_is_imported(tmp_path, monkeypatch, capsys):
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    config = CONFIG.format("x").replace("shots: 5", "shots: 5, _target_: evil_module.load")
    run(tmp_path / "runs" / "a", f"{config}encoder: {{image: {{_target_: evil_module.Net}}}}\n")
    content = document("finetune", 5, 0, 0.5, 0.4)
    content["config"]["encoder"] = {"image": {"_target_": "evil_module.Net"}}
    write(tmp_path / "runs" / "b", content)
    assert printed(capsys, str(tmp_path / "runs"))
    assert not (tmp_path / "ran").exists()


LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "aliases"),
        ("a: &a [*a]", "nested"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested|flow level"),
        ("a: " + "x" * (5 * 2**20), "MB"),
        ("a: !!python/object/apply:os.system [true]", "no YAML"),
        ("- a", "no mapping"),
        ("a: [", "no YAML"),
    ],
)
def test_a_configuration_that_would_take_for_ever_is_refused(text, said, tmp_path, capsys):
    folder = run(tmp_path / "a", text)
    with pytest.raises(ValueError, match=said):
        read_configuration(folder / ".hydra" / "config.yaml")
    out = printed(capsys, str(tmp_path))
    assert out.startswith("error: ")
    assert "Delete the folder" in out


@pytest.mark.parametrize("text", ["{}", "[]", "3", "", '{"format": "x"}', "[" * 100_000, '{"config": {}, "metrics": 3}'])
def test_a_damaged_result_is_a_sentence(text, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "result.json").write_text(text, encoding="utf-8")
    out = printed(capsys, str(tmp_path))
    assert out.startswith("error: ")
    assert "result.json" in out
    assert "Traceback" not in out


def test_a_pipe_in_a_folder_of_runs_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(ValueError, match="no regular file"):
        read_json(tmp_path / "result.json")


def evil_results(folder: Path) -> Path:
    for seed in (0, 1):
        content = document("finetune", 5, seed, 0.5, 0.4)
        content["choices"]["transfer"] = EVIL
        write(folder / str(seed), content)
    return folder


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html"])
def test_names_are_harmless_in_every_format(form, tmp_path, capsys):
    out = printed(capsys, str(evil_results(tmp_path)), "--format", form)
    assert "finetune" in out or "HYPERLINK" in out
    assert "\x1b" not in out
    if form == "markdown":
        [line] = [line for line in out.splitlines() if "HYPERLINK" in line and line.startswith("|")]
        assert "<script" not in out
        assert r"\|&lt;script>" in line
        assert r"\x1b[31m\n" in line
    if form == "latex":
        assert r"\input" not in out
        assert r"\textbackslash{}input\{x\} \& \_\%" in out
        assert r"\x1b" not in out
    if form == "html":
        assert "<script" not in out
        assert "&lt;script&gt;" in out
    if form == "csv":
        [row] = set(pandas.read_csv(_file(tmp_path, out))["row"])
        assert row.startswith("'=HYPERLINK")


def _file(folder: Path, text: str) -> Path:
    (folder / "out.csv").write_text(text, encoding="utf-8")
    return folder / "out.csv"


def test_escapes_one_by_one():
    assert in_markdown("a|b") == r"a\|b"
    assert in_markdown("a\\|b") == r"a\\\|b"
    assert in_markdown("p < 0.05, a->b") == "p < 0.05, a->b"
    assert in_markdown("<b>") == "&lt;b>"
    assert escaped("a_b&c\\d") == r"a\_b\&c\textbackslash{}d"
    given = ["=1+1", "+a", "-x", "@a", "a=1", "-1.5", -1.5, None]
    assert [no_formula(each) for each in given] == ["'=1+1", "'+a", "'-x", "'@a", "a=1", "-1.5", -1.5, None]
    assert printable("a\x1b]0;x\x07\nb\u202e\udc80") == "a\\x1b]0;x\\x07\nb\\u202e\\udc80"
    assert in_one_line("日本 👩‍🔬 é\r\n") == "日本 👩‍🔬 é\\r\\n"


def test_a_table_is_written_through_links_and_into_pipes(tmp_path, capsys):
    runs = tmp_path / "runs"
    write(runs / "a", document("finetune", 5, 0, 0.5, 0.4))
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("old", encoding="utf-8")
    link.symlink_to(real)
    assert command.main([str(runs), "--out", str(link)]) == 0
    assert link.is_symlink()
    assert "finetune" in real.read_text(encoding="utf-8")
    pipe, found = tmp_path / "pipe.md", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    assert command.main([str(runs), "--out", str(pipe)]) == 0
    reader.join(10)
    assert pipe.is_fifo()
    assert "finetune" in found[0]
    assert command.main([str(runs), "--out", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


def test_what_is_written_for_an_unfinished_run_is_read_as_before(tmp_path):
    content = {"a": 1e-5, "b": [1, "x"], "c": {"d": None, "e": True}, "f": "1e5", "g": 0.001, "h": "2020-01-01"}
    write_configuration({**content, "choices": {"target": "1e5"}}, tmp_path)
    assert read_configuration(tmp_path / ".hydra" / "config.yaml") == content
    hydra = read_configuration(tmp_path / ".hydra" / "hydra.yaml")
    assert hydra["hydra"]["runtime"]["choices"] == {"target": "1e5"}


def test_other_files_of_others_are_no_traceback(tmp_path, capsys):
    folder = write(tmp_path / "a", document("finetune", 5, 0, 0.5, 0.4))
    (folder / "names.json").write_text("[" * 100_000, encoding="utf-8")
    run(tmp_path / "b", CONFIG.format("x"))
    (tmp_path / "b" / "error.txt").write_bytes(b"\xff\xfe" * 50_000 + b"the end")
    out = printed(capsys, str(tmp_path))
    assert "the end" in out
    assert len(out) < 100_000
    (tmp_path / "table.json").write_text("[" * 100_000, encoding="utf-8")
    assert "holds no table of xlearn" in printed(capsys, str(tmp_path / "table.json"))
