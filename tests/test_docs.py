"""The documentation is true: its commands run, its pages are those of the code, its links lead somewhere."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_adding_a_method(working_directory):
    text = (ROOT / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(working_directory)}
    ran = written = 0
    for kind, file, content in FENCE.findall(text):
        if file:
            (working_directory / file).parent.mkdir(parents=True, exist_ok=True)
            (working_directory / file).write_text(content, encoding="utf-8")
            written += 1
        elif kind == "console":
            for line in content.splitlines():
                command = [sys.executable, "-m", *shlex.split(line.removeprefix("$ "))]
                if command[3] == "train":
                    command.append("threads=1")
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                ran += 1
    assert (written, ran) == (18, 13)


@pytest.mark.slow
def test_the_page_on_python(working_directory):
    """Block after block in one process, as the cells of a notebook."""
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = [content for kind, _, content in FENCE.findall(text) if kind == "python"]
    found: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), found)
    assert len(blocks) == 11 and len(found["runs"]) == 4


def test_generated_pages_are_up_to_date():
    """The tree of the code, and the names of earlier versions."""
    command = [sys.executable, str(ROOT / "scripts" / "pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_architecture_names_every_file_that_there_is():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named, folder = set(), ""
    for line in text.splitlines():
        folder = line[5:-2] if line.startswith("### `") else folder
        if found := re.match(r"\* `(\w+\.py)`: \S", line):
            named.add(f"{folder}/{found.group(1)}".removeprefix("xlearn/"))
    package = ROOT / "xlearn"
    assert named == {file.relative_to(package).as_posix() for file in package.rglob("*.py") if file.name != "__init__.py"}


def test_the_floors_are_those_of_the_contract():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [block] = [content for kind, _, content in FENCE.findall(text) if kind == "text"]
    shown = [re.split(r"  +", line)[0] for line in block.splitlines()]
    [contract] = [
        each
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
        if each["name"] == "rooms and floors"
    ]
    assert shown == contract["layers"]


def test_every_room_says_in_two_sentences_what_lives_there():
    for file in (ROOT / "xlearn").rglob("__init__.py"):
        if file.parent.name != "xlearn":
            text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())
            assert len(re.split(r"(?<=[.]) (?=[A-Z`])", text)) >= 2, file


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/adding-a-method.md",
        "docs/results.md",
        "docs/architecture.md",
        "docs/migration.md",
        "docs/python.md",
    ],
)
def test_links_lead_somewhere(page):
    file = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)", file.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (file.parent / target).exists(), f"{page} links to {target}"


def test_decisions_are_one_page():
    notes = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(notes) >= 5
    assert all(len(note.read_text(encoding="utf-8").splitlines()) <= 60 for note in notes)


def test_no_file_is_over_250_lines():
    files = [file for part in ("xlearn", "tests", "scripts") for file in (ROOT / part).rglob("*.py")]
    long = {str(file.relative_to(ROOT)): count for file in files if (count := len(file.read_text().splitlines())) > 250}
    assert not long
