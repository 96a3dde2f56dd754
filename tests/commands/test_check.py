"""`xlearn check`: every problem in a sentence, all of them at once."""

import pytest

from xlearn.commands.check import HELP, main


def told(words, capsys):
    assert main(words) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err and "everything works" not in said.out
    first, *problems = said.err.splitlines()
    assert first == f"{len(problems)} problem(s):"
    return [problem.removeprefix("  - ") for problem in problems]


def test_what_works(toy, capsys):
    assert main(toy) == 0
    assert "everything works" in capsys.readouterr().out


def test_all_problems_come_at_once(capsys):
    wrong = ["target.shotz=3", "transfer=finetun", "seed=abc", "optimizer.lr=abc", "target.shots=-1", "sampling=balance"]
    found = told(wrong, capsys)
    assert len(found) == 6
    for word in ("shotz", "finetun", "seed", "optimizer.lr", "target.shots=-1", "Did you mean 'balanced'"):
        assert any(word in each for each in found)


def test_data_are_looked_at_beside_wrong_components(toy, capsys):
    wrong = ["optimizer.lr=abc", "target.shots=100000", "source.blobs.classes=[c0,c9]", "precision=fp7", "image.size=-1"]
    found = told([*toy, *wrong], capsys)
    assert len(found) == 5
    for word in ("optimizer.lr='abc'", "target.shots=100000", "source.blobs.classes: 'c9'", "precision=fp7", "image.size=-1"):
        assert any(each.startswith(word) for each in found), (word, found)


def test_a_task_that_cannot_be_loaded_hides_no_other(toy, capsys):
    found = told([*toy, "source=image_folder", "source.image_folder.folder=nosuch", "target.shots=100000"], capsys)
    assert len(found) == 2
    assert found[0].startswith("folder=nosuch") and found[1].startswith("target.shots=100000")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("budget.pretrain.steps=5", "budget.pretrain: epochs=2.0 and steps=5 set. Set exactly one"),
        ("budget.pretrain.epochs=-1", "pretrain.phases.pretrain.epochs=-1.0: give more than 0"),
        ("budget.transfer.steps=null", "budget.transfer: neither epochs nor steps set"),
    ],
)
def test_the_budget_is_checked_as_it_is_configured(override, sentence, toy, capsys):
    assert any(each.startswith(sentence) for each in told([*toy, override], capsys))


def test_help_runs_nothing(capsys):
    for word in ("-h", "--help"):
        assert main(["target=optdigits", word]) == 0
        assert capsys.readouterr().out == f"{HELP}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cfg", "job"], "--cfg job: check takes only --config-dir FOLDER and --help. Use `xlearn train --cfg job`."),
        (["-m"], "-m: check takes only"),
        (["--confg-dir", "x"], "--confg-dir: there is no such flag of check. Did you mean '--config-dir'?"),
        (["--config-dir", "nosuch"], "--config-dir nosuch: there is no such folder"),
        (["--config-dir"], "--config-dir needs a folder"),
    ],
)
def test_flags_are_told(words, sentence, capsys):
    [problem] = told(words, capsys)
    assert problem.startswith(sentence)


def test_a_folder_that_cannot_be_written_is_told(toy, working_directory, capsys):
    (working_directory / "outputs").write_text("a file in the way")
    [problem] = told(toy, capsys)
    assert problem.startswith(f"hydra.run.dir={working_directory}/outputs/default/")
    assert f"{working_directory}/outputs cannot be written (Not a directory)" in problem
