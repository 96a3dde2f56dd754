"""The tables of the pages are those of their data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from toys.files import script
from toys.results import fill

from xlearn.config.folders import conf_folder, options
from xlearn.table import command

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "results.py"


@pytest.fixture
def results():
    return script("results")


def test_the_pages_are_up_to_date():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_mark_is_the_command_of_a_table_and_every_file_has_a_mark(results):
    every = {words for page in results.PAGES for words in results.marked(page.read_text(encoding="utf-8"))}
    assert len(every) > 25
    assert {words.split()[0] for words in every} <= set(options("table", [conf_folder()]))
    by_file = {results.data(words): words for words in every}
    for file in results.DATA.glob("*.json"):
        name, *more = by_file[file].split()
        assert json.loads(file.read_text(encoding="utf-8"))["command"] == " ".join(["xlearn", "table", name, "--run", *more])


def test_a_page_is_rendered_from_data(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "DATA", tmp_path)
    monkeypatch.setattr(results, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    first = "Before\n\n<!-- table: mine -->\n\n| old |\n|-----|\n| 1 |\n\nBetween\n\n"
    page.write_text(f"{first}<!-- table: others -->\n\n| kept |\n\n- a note\n\nAfter\n")
    monkeypatch.setattr(results, "PAGES", (page,))
    monkeypatch.setattr(sys, "argv", ["results.py"])
    assert command.main([str(fill(tmp_path / "runs")), "--out", str(results.data("mine"))]) == 0
    assert results.main() == 0
    printed = capsys.readouterr().out
    assert "page.md written" in printed and "1 of 2 tables have data; without: others" in printed
    text = page.read_text()
    assert "| transfer | target.shots=1" in text and "| old |" not in text and "| kept |\n\n- a note\n\nAfter\n" in text
    assert "Metric: accuracy" not in text  # no sentences where there were none
    assert results.rendered(text) == text
    # With sentences below it, these are made anew too.
    assert command.main([str(tmp_path / "runs"), "--out", str(results.data("others"))]) == 0
    assert "- a note" not in results.rendered(text) and "- Metric: accuracy" in results.rendered(text)
    monkeypatch.setattr(sys, "argv", ["results.py", "--check"])
    assert results.main() == 1 and "page.md is out of date" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["results.py", "nothing"])
    assert results.main() == 1 and "nothing: no page has such a table" in capsys.readouterr().err


def test_tables_are_computed_by_their_command(results, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "DATA", tmp_path / "data")
    ran = []

    class Done:
        returncode = 0

    monkeypatch.setattr(results.subprocess, "run", lambda command, check: ran.append(command[3:]) or Done)
    assert results.compute("digits --metric 'forgetting.a->b.accuracy'") == 0
    file = tmp_path / "data" / "digits-metric-forgetting.a-b.accuracy.json"
    assert ran == [["table", "digits", "--run", "--metric", "forgetting.a->b.accuracy", "--out", str(file)]]
