"""How printed blocks are compared: what a machine decides is left out, what a command says is not."""

import pytest
from toys.files import script


@pytest.fixture
def printed():
    return script("printed")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("  accuracy   0.7716   0.7716  +0.0000", "  accuracy 0.5 0.61 -0.11"),
        ("phases: pretrain 3.2 s (cached)", "phases: pretrain 61.0 s"),
        ("| a | **0.8** ± 0.1 (+0.1) *↑ 2 s |", "| a | 0.7 ± 0.2 (-0.2) neg.? 12.5 s |"),
        ("a\n  negative transfer: training from scratch does better in accuracy\nb", "a\nb"),
    ],
)
def test_what_the_machine_decides_is_no_difference(printed, text, other):
    assert printed.masked(text) == printed.masked(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("outputs/default/661408e44e64d2f8/result.json", "outputs/default/02c3abef80fd1f59/result.json"),
        ("error: there is no such option", "error: there is no such key"),
        ("  majority class: 0.1 (accuracy)", "  majority class: 0.1 (macro_f1)"),
    ],
)
def test_what_a_command_says_is(printed, text, other):
    assert printed.masked(text) != printed.masked(other)


def test_only_blocks_that_begin_with_a_command_are_run(printed):
    assert printed.commands("$ xlearn show keep\nkeep\n$ xlearn --help\n") == ["xlearn show keep", "xlearn --help"]
    assert printed.commands("$ pip install x\n") == [] and printed.commands("xlearn show\n") == []


def test_a_page_is_filled(printed):
    page = "Text\n\n<!-- quick -->\n```console\n$ xlearn --version\nold\n```\n\n```text\n$ xlearn --version\n```\n"
    filled = printed.renewed(page, only_quick=True)
    assert filled.startswith("Text\n\n<!-- quick -->\n```console\n$ xlearn --version\nxlearn 0.") and filled.endswith(
        "```text\n$ xlearn --version\n```\n"
    )
    slow = page.replace("<!-- quick -->\n", "")
    assert printed.renewed(slow, only_quick=True) == slow
