"""The command line as a person types it; in processes of their own where imports and exit codes matter."""

import os
import subprocess
import sys

import pytest

from xlearn.cli import HELP
from xlearn.config.arguments import flags_first, split
from xlearn.config.compose import waiting


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
        (["a=1", "--info", "searchpath"], ["--info", "searchpath", "a=1"]),
        (["--info", "a=1"], ["--info", "all", "a=1"]),
        (["a=1", "--cfg"], ["--cfg", "a=1"]),
        (["-cd", "/x", "a=1", "-cd=/y", "-cd", "/z"], ["-cd", "/z", "a=1", "hydra.searchpath=['file:///x','file:///y']"]),
    ],
)
def test_flags_may_stand_anywhere(words, expected):
    assert flags_first(words) == expected


def test_words_are_flags_with_values_and_others():
    flags, others = split(["a=1", "-cd", "x", "--config-dir=y", "-m", "b"])
    assert [(flag.name, flag.value) for flag in flags] == [("-cd", "x"), ("--config-dir", "y"), ("-m", None)]
    assert others == ["a=1", "b"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "transfer=l2_sp,delta", "transfer.steps=5"], "transfer.steps=choice(5)"),
        (["-m", "encoder/image=cnn,mlp", "encoder.image.widths=[4,8]"], "encoder.image.widths=choice([4,8])"),
        (["-m", "transfer=l2_sp,delta", "+transfer.notes='a, b'"], "+transfer.notes=choice('a, b')"),
        (["-m", "transfer=l2_sp,delta", "transfer.steps=1,2"], "transfer.steps=1,2"),  # swept as it is
        (["-m", "transfer=l2_sp,delta", "transfers.steps=5"], "transfers.steps=5"),
        (["-m", "transfer=l2_sp,delta", "~transfer.steps"], "~transfer.steps"),
        (["-m", "transfer=l2_sp", "transfer.steps=5"], "transfer.steps=5"),
        (["transfer=l2_sp,delta", "transfer.steps=5"], "transfer.steps=5"),
        (["-m", "transfer=l2_sp,delta", "transfer.steps=[5"], "transfer.steps=[5"),  # Hydra tells what is wrong with it
    ],
)
def test_values_of_a_swept_group_wait_for_the_single_runs(words, expected):
    assert waiting(words) == [*words[:-1], expected]


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
        ("xlearn ", {"train", "check", "table", "search", "show"}),
        (
            "xlearn train transfer=l",
            {"transfer=l2_sp", "transfer=layer_decay", "transfer=linear_probe", "transfer=lora", "transfer=lp_ft"},
        ),
        ("xlearn train source=mn", {"source=mnist5k", "source=mnist5k_large", "source=mnist5k_parity"}),
        ("xlearn train target.sho", {"target.shots="}),
    ],
)
def test_completion(line, expected):
    done = xlearn("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert set(done.stdout.split()) == expected


@pytest.mark.slow
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
        ("transfer=finetun", "error: transfer=finetun: there is no such option. Did you mean 'finetune'"),
        ("trnasfer=finetune", "error: trnasfer: there is no such key. Did you mean 'transfer'"),
        ("source=fashion", "error: source=fashion: there is no such option. Did you mean 'fashion_mnist'"),
        ("seed=abc", "error: seed: Value 'abc' of type 'str' could not be converted to Integer."),
        ("sharing.first=2", "error: sharing.first: there is no such key. It belongs to sharing=branch and sharing=layers."),
        (
            "source=null",
            "error: Config group override must be a string or a list. Got NoneType. To choose nothing, write source=none.",
        ),
        ("source=[mnist5k,fashion]", "error: source=fashion: there is no such option. Did you mean 'fashion_mnist'"),
        ("target=[mnist5k,nosuch]", "error: target=nosuch: there is no such option. Known: audio_folder, bbc_news,"),
        ("augment=[crop,rotat]", "error: augment=rotat: there is no such option. Did you mean 'rotate'?"),
        (
            "++transfer.phases.new.steps=3",
            "error: ++transfer.phases.new.steps=3: phases cannot be added on the command line. Write transfer/NAME.yaml",
        ),
        ("target=optdigits,mnist5k", "error: target=optdigits,mnist5k: several values."),
    ],
)
def test_composition_errors_are_one_sentence(override, sentence, capsys):
    from xlearn.commands.train import main

    assert main(["--cfg", "job", override]) == 1
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["="], "error: show '=': name a group"),
        ([""], "error: show '': name a group"),
        (["=train"], "error: show '=train': name a group"),
        (["--config-dir", "nosuch"], "error: --config-dir nosuch: there is no such folder"),
        (["-cd"], "error: -cd needs a folder"),
        (["--config-dir="], "error: --config-dir needs a folder"),
        (["transfer", "--cfg", "job"], "error: --cfg job: show takes only --config-dir FOLDER and --help. Use `xlearn train"),
        (["target=bad", "-cd", "."], "error: task/bad.yaml, line 2: this is no YAML"),
        (["target=latin", "-cd", "."], "error: task/latin.yaml is not UTF-8 text"),
    ],
)
def test_show_tells_what_is_wrong(words, sentence, working_directory, capsys):
    from xlearn.commands.show import main

    (working_directory / "task").mkdir()
    (working_directory / "task" / "bad.yaml").write_text("a: [1\nb: 2\n")
    (working_directory / "task" / "latin.yaml").write_bytes(b"# \xff\n")
    assert main(words) == 1
    assert capsys.readouterr().err.startswith(sentence)


def test_several_folders_of_configuration(working_directory, capsys):
    from xlearn.commands.train import main

    words = ["--cfg", "job"]
    for name in ("one", "two"):
        (working_directory / name / "transfer").mkdir(parents=True)
        (working_directory / name / "transfer" / f"of_{name}.yaml").write_text("# Mine\ncarry: false\n")
        words += ["--config-dir", name]
    for name in ("one", "two"):
        assert main([*words, f"transfer=of_{name}"]) == 0
        assert "carry: false" in capsys.readouterr().out
    (working_directory / "two" / "transfer" / "finetune.yaml").write_text("# Never found\ncarry: false\n")
    assert main([*words, "transfer=finetune"]) == 1
    assert "error: two/transfer/finetune.yaml: transfer=finetune is there already, in" in capsys.readouterr().err
