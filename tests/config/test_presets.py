"""Presets of `trainable`: named by options of `transfer` and `pretrain`, overridden below a phase, chosen for a phase."""

import re
from collections import Counter

import pytest

from xlearn.commands.check import main as check
from xlearn.commands.show import show_group, show_option
from xlearn.commands.train import main as train
from xlearn.config.compose import choices, complete, composed, register, waiting
from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.table.collect import collect

CONF = conf_folder()
PRESETS = {name: read_yaml(file) for name, file in options("trainable", [CONF]).items()}
CHAINS = [file for group in ("transfer", "pretrain") for file in options(group, [CONF]).values()]


def config(*words):
    register([])
    return composed([*words], [])


def test_no_option_writes_out_what_a_preset_has():
    for file in CHAINS:
        for phase in (read_yaml(file).get("phases") or {}).values():
            assert phase.get("trainable") not in PRESETS.values(), file


def test_every_preset_is_used_several_times():
    named = Counter(re.findall(r"trainable@phases\.\w+\.trainable: (\w+)", "".join(each.read_text() for each in CHAINS)))
    assert named.keys() == PRESETS.keys() and min(named.values()) >= 4 and sum(named.values()) == 43


def test_phases_stand_in_the_order_of_their_file():
    """A preset makes its phase too: the file's own phases come first (`_self_`)."""
    for file in CHAINS:
        if len(phases := read_yaml(file).get("phases") or {}) > 1 and "trainable@" in file.read_text():
            group = file.parent.name
            assert list(config(f"{group}={file.stem}")[group].phases) == list(phases)


def test_a_preset_is_a_part_of_the_configuration_and_no_choice_of_its_own():
    made = config("transfer=lp_ft")
    phases = complete(made)["transfer"]["phases"]
    assert (phases["probe"]["trainable"], phases["finetune"]["trainable"]) == (
        PRESETS["head_only"],
        PRESETS["tenth_of_the_rate"],
    )
    assert not [group for group in choices(made.hydra) if "trainable" in group]


@pytest.mark.parametrize(
    ("words", "phase", "expected"),
    [
        (["lp_ft", "transfer.phases.finetune.trainable.backbone=1.0"], "finetune", {"head": 0.1, "backbone": 1.0}),
        (
            ["lp_ft", "trainable@transfer.phases.probe.trainable=slow_backbone"],
            "probe",
            {"head": 1.0, "backbone": 0.1},
        ),
        (
            ["scratch", "+trainable@transfer.phases.scratch.trainable=without_heads"],
            "scratch",
            {"patterns": ["head.*"]},
        ),
    ],
)
def test_values_and_presets_are_chosen_on_the_command_line(words, phase, expected):
    trainable = complete(config(f"transfer={words[0]}", *words[1:]))["transfer"]["phases"][phase]["trainable"]
    assert {name: value for name, value in trainable.items() if name != "_target_"} == expected


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainable=head_only", "trainable: a preset is chosen for a phase"),
        ("+trainable@transfer.phases.probe.trainable=slow_backbone", "trainable: a preset is chosen for a phase"),
        ("trainable@transfer.phases.foo.trainable=head_only", "trainable: a preset is chosen for a phase"),
        ("trainable@transfer.phases.probe.trainable=head_onl", "there is no such option. Did you mean 'head_only'"),
        (
            "transfer.phases.probe.trainable.had=1",
            "probe.trainable.had: there is no such key. Did you mean 'head'",
        ),
    ],
)
def test_wrong_words_are_answered(word, told, capsys):
    assert check(["transfer=lp_ft", word]) == 1
    assert told in capsys.readouterr().err


def test_an_unfinished_run_has_the_choices_of_a_finished_one(tmp_path):
    assert train(["transfer=lp_ft", "optimizer.lr=1e9", "budget=quick", f"hydra.run.dir={tmp_path / 'run'}"]) == 1
    [record] = collect([tmp_path])
    assert record.result is None and record.choices["transfer"] == "lp_ft"
    assert not [group for group in record.choices if "trainable" in group]


def test_a_preset_waits_for_the_single_runs_of_a_sweep():
    word = "trainable@transfer.phases.adapt.trainable=head_only"
    assert waiting(["-m", "transfer=dann,mmd", word])[-1] == "trainable@transfer.phases.adapt.trainable=choice(head_only)"
    assert waiting(["-m", "seed=0,1", word])[-1] == word


def test_show_says_how_a_preset_is_chosen_and_what_is_behind_one():
    assert "trainable@transfer.phases.NAME.trainable=head_only" in show_group("trainable", [CONF])
    shown = show_option("transfer", "mcd", [CONF])
    assert "third_of_the_rate.yaml" in shown and "xlearn.trainable.head_and_backbone" in shown
