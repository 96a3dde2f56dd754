"""The command line as a person types it; in processes of their own where imports and exit codes matter."""

import os
import subprocess
import sys

import pytest

from xlearn.cli import HELP
from xlearn.config.arguments import flags_first


def xlearn(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "xlearn", *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (["--help"], ["torch", "hydra", "yaml", "numpy"]),
        (["show", "transfer"], ["torch", "hydra", "numpy"]),
        (["show", "transfer=l2_sp"], ["torch", "hydra", "numpy"]),
        (["table", "--help"], ["torch", "hydra", "pandas"]),
        (["train", "--cfg", "job"], ["torch", "sklearn", "pandas", "datasets"]),
        (["train", "-sc", "query=bash"], ["torch", "sklearn", "pandas"]),
    ],
)
def test_light_commands_import_nothing_heavy(words, forbidden):
    code = (
        "import sys\nfrom xlearn.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as left: assert not left.code, left.code\n"
        f"print('IMPORTED', [name for name in {forbidden!r} if name in sys.modules])"
    )
    line = {"COMP_LINE": "xlearn train transfer=", "COMP_POINT": "22"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **line}, check=False)
    assert "IMPORTED []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=1", "-m", "b=1,2"], ["-m", "a=1", "b=1,2"]),
        (["a=1", "--cfg", "job"], ["--cfg", "job", "a=1"]),
        (["a=-1", "--config-dir=x", "b=2"], ["--config-dir=x", "a=-1", "b=2"]),
        (["a=1"], ["a=1"]),
    ],
)
def test_flags_may_stand_anywhere(words, expected):
    assert flags_first(words) == expected


def test_help_version_and_unknown_commands():
    assert xlearn("--help").stdout == HELP
    assert xlearn("--version").stdout.startswith("xlearn 0.")
    wrong = xlearn("trian")
    assert wrong.returncode == 2
    assert "Did you mean 'train'" in wrong.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xlearn tr", {"train"}),
        ("xlearn ", {"train", "check", "table", "show"}),
        ("xlearn train transfer=l", {"transfer=l2_sp", "transfer=layer_decay", "transfer=linear_probe", "transfer=lp_ft"}),
        ("xlearn train source=mn", {"source=mnist5k"}),
        ("xlearn train target.sho", {"target.shots="}),
    ],
)
def test_completion(line, expected):
    done = xlearn("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert set(done.stdout.split()) == expected


def test_cfg_and_help_of_hydra_work_behind_train():
    composed = xlearn("train", "target.shots=7", "--cfg", "job")
    assert composed.returncode == 0
    assert "shots: 7" in composed.stdout
    assert "xlearn train" in xlearn("train", "--help").stdout
    assert xlearn("train", "--info", "searchpath").returncode == 0


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("target.shotz=3", "error: target.shotz: there is no such key. Did you mean 'shots'?"),
        ("transfer=finetun", "error: transfer=finetun: there is no such option. Did you mean 'finetune'?"),
        ("trnasfer=finetune", "error: trnasfer: there is no such key. Did you mean 'transfer'"),
        ("source=fashion", "error: source=fashion: there is no such option. Did you mean 'fashion_mnist'?"),
        ("seed=abc", "error: seed: Value 'abc' of type 'str' could not be converted to Integer."),
        ("sharing.first=2", "error: sharing.first: there is no such key. It belongs to sharing=layers."),
        (
            "source=null",
            "error: Config group override must be a string or a list. Got NoneType. To choose nothing, write source=none.",
        ),
        ("target=optdigits,mnist5k", "error: Ambiguous value for argument 'target=optdigits,mnist5k'"),
    ],
)
def test_composition_errors_are_one_sentence(override, sentence, capsys):
    from xlearn.train import main

    assert main(["--cfg", "job", override]) == 1
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert "Traceback" not in error


def test_check_lists_all_problems_at_once(capsys):
    from xlearn.check import main

    wrong = ["target.shotz=3", "transfer=finetun", "seed=abc", "optimizer.lr=abc", "target.shots=0", "sampling=balance"]
    assert main(wrong) == 1
    told = capsys.readouterr().err
    assert told.startswith("6 problem(s):")
    for word in ("shotz", "finetun", "seed", "optimizer.lr", "target.shots=0", "Did you mean 'balanced'"):
        assert word in told
