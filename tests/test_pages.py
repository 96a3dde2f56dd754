"""The pages for users: the two front pages agree, the cookbook's commands work, printed blocks are what commands print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from xlearn.commands.check import main as check
from xlearn.commands.show import shown
from xlearn.config.folders import conf_folder, options
from xlearn.runtime.errors import Problem

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in COOKBOOK.splitlines() if line.startswith("    xlearn ")]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_front_page_is_short():
    page = text("README.md")
    assert len(page) <= 7200 and len(page.splitlines()) <= 95


def test_both_front_pages_have_the_same_commands_figures_and_links():
    def facts(page):
        commands = re.findall(r"^(?:    |\$ )(.*)$", page, re.MULTILINE)
        code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
        # What the command prints has seconds, which differ from run to run.
        numbers = re.findall(r"\d[\d,.]*\d|\d", re.sub(r"```console.*?```", "", page, flags=re.DOTALL))
        links = [each for each in re.findall(r"\]\(([^)]+)\)", page) if not each.startswith("README")]
        return commands, sorted(each for each in code if each.isascii() and "<" not in each), sorted(numbers), links

    for first, second in zip(facts(text("README.md")), facts(text("README.zh.md")), strict=True):
        assert first == second


def test_the_front_page_counts_right():
    page = text("README.md")
    found = {group: len(options(group, [conf_folder()])) for group in ("fusion", "balance")}
    assert f"{found['fusion']} fusions" in page and f"{found['balance']} of balancing" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT], ids=lambda page: page.name)
def test_a_page_says_what_a_reader_can_do_after_it(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    first = next((line for line in lines[1:] if line and not line.startswith("<!--")), "")
    assert first.startswith("After this page you "), first


@pytest.fixture
def files(working_directory):
    """What the cookbook's commands read."""
    for number in range(3):
        for name in ("cat", "dog"):
            for each in range(8):
                file = Path("photos") / name / f"{number}{each}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (12, 12), (number * 60, each * 20, 40 if name == "cat" else 200)).save(file)
    kinds = [("flat", "cat"), ("house", "dog")] * 30
    rows = [
        f"{kind},a title of {number},photos/{name}/00.png,{number % 5},{number}" for number, (kind, name) in enumerate(kinds)
    ]
    Path("flats.csv").write_text("\n".join(["kind,title,photo,rooms,price", *rows]), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [line for line in COMMANDS if line.startswith("xlearn train") and not {"DIGEST", "--cfg"} & {*re.split("[ /]", line)}],
)
def test_a_command_of_the_cookbook_works(line, files, capsys):
    words = [word for word in shlex.split(line)[2:] if word != "-m"]
    words = [re.sub(r"^(target\.fold|target\.draw|seed)=.*", r"\1=0", word) for word in words]
    assert check([*words, "threads=1"]) == 0, capsys.readouterr()


def test_the_cookbook_has_a_command_for_each_question():
    assert len(COMMANDS) >= 40 and len(set(COMMANDS)) == len(COMMANDS)


@pytest.mark.slow
def test_printed_blocks_are_what_the_commands_print():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "printed.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("image.size", ["image.size\n    default: null\n    height and width in pixels; null: the largest"]),
        (
            "keep",
            [
                "budget.pretrain.keep, budget.transfer.keep\n    default: last\n    Which weights are kept: last |",
                "transfer.phases.NAME.keep",
            ],
        ),
        ("transfer.phases.finetune.keep", ["transfer.phases.NAME.keep\n    default: null"]),
        ("baseline", ["transfer@baseline\n    default: scratch"]),
        ("shots", ["default: 5 (classes, functions), 50 (numbers) for the target, null for sources", "episodes.shots"]),
        ("source.mnist5k.val", ["target.val, source.NAME.val\n    default: 0.1"]),
        ("joint", ["how a phase reads several tasks"]),
        ("sharing", ["sharing=all"]),
        ("target.size", ["target.size: an argument of", "target=emoji: default 32", "`xlearn show target="]),
        ("sharing.first", ["sharing=layers: default 2", "`xlearn show sharing="]),
        ("encoder.image.widths", ["encoder/image=cnn: default [32, 64, 64]"]),
    ],
)
def test_any_key_is_explained(word, told):
    found = shown([word], [])
    assert all(each in found for each in told), found


def test_a_word_that_is_neither_group_nor_key_is_answered_with_the_nearest():
    with pytest.raises(Problem, match=r"image.sice: there is no such group and no such key. Did you mean 'image.size'"):
        shown(["image.sice"], [])


def test_every_key_has_a_meaning():
    from xlearn.commands.keys import keys

    found = keys()
    assert len(found) > 60 and all(key.meaning for key in found)
