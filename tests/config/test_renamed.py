"""Names of earlier versions: each has a present one, and a sentence that says it."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from xlearn.commands.train import main
from xlearn.config.component import component, resolve
from xlearn.config.folders import conf_folder
from xlearn.config.renamed import CHAIN_KEYS, KEYS, METHODS, READS, addresses, old_methods, renamed, renamed_key
from xlearn.config.schema import ChainConfig, PhaseConfig
from xlearn.config.upgraded import WRITTEN_OUT, upgraded, upgraded_choices
from xlearn.data.reads import VIEWS
from xlearn.objectives.adaptation.mcd import Mcd
from xlearn.runtime.errors import Problem

# Every address that `conf/` had before the rooms, and before components had public names.
FILES = [Path(__file__).parent / name for name in ("addresses_before_rooms.txt", "addresses_of_modules.txt")]
BEFORE = sorted({address for file in FILES for address in file.read_text(encoding="utf-8").split()})


def found(address):
    """The module, class or function at a dotted path."""
    try:
        return importlib.import_module(address)
    except ModuleNotFoundError:
        module, _, name = address.rpartition(".")
        return getattr(importlib.import_module(module), name)


def test_every_new_address_leads_somewhere():
    assert len(addresses()) > 140
    for new in addresses().values():
        assert found(new) is not None


def test_every_address_of_earlier_configurations_has_a_new_one():
    assert len(BEFORE) == 172 + 84
    for address in BEFORE:
        new = renamed(address)
        assert callable(resolve(new, "objective")) and renamed(new) is None
        assert new.rpartition(".")[2] == address.rpartition(".")[2]


@pytest.mark.parametrize("address", [*BEFORE[::11], "xlearn.schedules._cosine.cosine"])
def test_an_old_address_is_answered_with_the_new_one(address):
    with pytest.raises(Problem) as problem:
        component({"_target_": address}, "objective")
    assert str(problem.value) == f"objective._target_={address}: it is {renamed(address)} now (docs/migration.md)."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from xlearn.network import Network", "xlearn.network is xlearn.networks.network now"),
        ("from xlearn.tasks import Raw", "xlearn.tasks is xlearn.data.tasks now"),
        ("from xlearn.objectives import Start", "xlearn.objectives.Start is xlearn.objectives.PhaseContext now"),
        ("from xlearn.data.augment.crop import crop", "xlearn.data.augment.crop.crop is xlearn.data.augment.crop now"),
        ("from xlearn.augment.crop import crop", "xlearn.augment is xlearn.data.augment now"),
        ("from xlearn.objectives.features import linear", "features.linear is xlearn.objectives.parts.layers.linear now"),
    ],
)
def test_an_old_import_in_a_module_of_the_user_s_own(line, told, tmp_path, monkeypatch):
    (tmp_path / "own_old_module.py").write_text(f"{line}\n\ndef made(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Problem, match="own_old_module imports names of an earlier version") as problem:
        component({"_target_": "own_old_module.made"}, "objective")
    assert told in str(problem.value)


def test_no_address_of_today_counts_as_an_old_one():
    texts = [file.read_text(encoding="utf-8") for file in conf_folder().rglob("*.yaml")]
    present = {target for text in texts for target in re.findall(r"_target_: (xlearn[\w.]+)", text)}
    assert len(present) == 182 and not [address for address in present if renamed(address)]
    assert renamed("xlearn.objectives.self_supervision.SelfSupervised") is not None  # the old module of that name
    assert renamed("xlearn.metrics.measure.foo") is None and renamed("xlearn.metrics.score") == "xlearn.metrics.measure.score"
    with pytest.raises(Problem, match="has no 'Simclr' to call. Did you mean 'SimClr'"):
        resolve("xlearn.objectives.Simclr", "objective")


def test_other_mistakes_are_told_as_before():
    with pytest.raises(Problem, match=r"Move loss to a module, and name that \(mymodule.loss\)"):
        resolve("__main__.loss", "objective")
    with pytest.raises(Problem, match="there is no module 'xlearn.nothing'"):
        resolve("xlearn.nothing.Nothing", "objective")
    with pytest.raises(Problem, match="has no 'Dan' to call. Did you mean 'Dann'"):
        resolve("xlearn.objectives.Dan", "objective")


@pytest.mark.parametrize("word", ["transfer.phases.finetune.leaves.alpha=0.5", "+transfer.phases.finetune.leaves=1"])
def test_an_old_key_on_the_command_line(word, capsys):
    assert main(["transfer=wise_ft", word]) == 1
    assert "transfer.phases.finetune.leaves: it is called merge now (docs/migration.md)." in capsys.readouterr().err


def test_an_old_key_in_a_file_of_the_user_s_own(tmp_path, capsys):
    file = tmp_path / "transfer" / "mine.yaml"
    file.parent.mkdir()
    file.write_text("phases:\n  finetune:\n    leaves:\n      _target_: xlearn.averaging.interpolate.interpolate\n")
    assert main(["transfer=mine", "--config-dir", str(tmp_path)]) == 1
    assert f"{file}: leaves: it is called merge now" in capsys.readouterr().err


def test_a_key_that_no_phase_has_is_refused_behind_a_plus_too(capsys):
    assert main(["+transfer.phases.finetune.opimizer=1"]) == 1
    assert "transfer.phases.finetune.opimizer: a phase has no such key. Did you mean 'optimizer'?" in capsys.readouterr().err


def test_present_keys_are_no_old_ones():
    for old, config in ((KEYS, PhaseConfig), (CHAIN_KEYS, ChainConfig)):
        present = config.__dataclass_fields__
        assert not set(old) & set(present) and {new.partition(".")[0] for new in old.values()} <= set(present)
    assert renamed_key("merge") is None and renamed_key("taught_by", chain=True) is None
    assert {view for views in READS.values() for view in views} == set(VIEWS)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("transfer.phases.finetune.taught_by=source", "taught_by: it is called teachers now, a list: teachers=[source] ("),
        ("transfer.phases.finetune.begins=start", "begins: it is called start_from now: start_from=start ("),
        ("transfer.phases.finetune.batch_size=32", "+transfer.phases.NAME.batches.batch_size=32 on the command line"),
        ("transfer.phases.finetune.batches.batch_size=32", "Write +transfer.phases.finetune.batches.batch_size=32."),
        ("transfer.phases.finetune.episodes.ways=3", "episodes: it is called batches now"),
        ("transfer.phases.finetune.reads=both", "reads=both: it is a list now: reads=[source,target]."),
        ("transfer.episodes=true", "transfer.episodes: it is called measuring now"),
        ("+transfer.episodes=true", "transfer.episodes: it is called measuring now"),
        ("+transfer.measurin=1", "transfer.measurin: a chain of phases has no such key. Did you mean 'measuring'"),
    ],
)
def test_an_old_key_is_answered_with_the_way_it_is_written_now(word, told, capsys):
    assert main([word]) == 1
    assert told in capsys.readouterr().err


def test_a_method_that_nobody_calls_any_more_is_told():
    class Own:
        def turns(self): ...

    class Both:
        def told(self): ...
        def log(self): ...

    class Below(Mcd):
        def turns(self): ...

    assert old_methods(Below) == old_methods(Own) and old_methods(Mcd) == []
    assert old_methods(Own) == ["its method turns() is called extra_updates() now (docs/migration.md)."]
    assert old_methods(Both) == [] and set(METHODS) == {"told", "turns"}


def test_arguments_that_are_written_out_now():
    for target, arguments in WRITTEN_OUT.items():
        node = {"_target_": target, "other": 1}
        assert upgraded({"a": [node]}) == {"a": [{**node, **arguments}]}
        signature = inspect.signature(resolve(target, "a")).parameters
        assert {name: signature[name].default for name in arguments} == arguments
    assert upgraded({"_target_": "xlearn.objectives.CrossEntropy", "roles": ["target"]})["roles"] == ["target"]


def test_a_configuration_in_the_present_names():
    old = {
        "leaves": "mine",
        "objective": {"_target_": "xlearn.objectives.dann.Dann"},
        "transfer": {"phases": {"leaves": {"leaves": {"_target_": "mine.Leaves"}, "steps": [1, {"leaves": 2}]}}},
    }
    assert upgraded(old) == {
        "leaves": "mine",
        "objective": {"_target_": "xlearn.objectives.Dann"},
        "transfer": {"phases": {"leaves": {"merge": {"_target_": "mine.Leaves"}, "steps": [1, {"leaves": 2}]}}},
    }


def test_phases_of_an_earlier_version():
    aligned = {"objective": {"_target_": "xlearn.objectives.Clip", "highest": 1.0, "rate": 1.0}, "begins": None}
    frozen = {"_target_": "xlearn.trainable.frozen", "patterns": ["encoder.*"]}
    phases = {"a": {"reads": "unlabeled", "taught_by": "source", "begins": "start", "batch_size": 8}, "b": {"reads": None}}
    old = {
        "pretrain": {"phases": {"align": {**aligned, "trainable": frozen}}},
        "transfer": {"episodes": False, "phases": phases},
    }
    made = upgraded(old)
    first = {"reads": ["target", "target.unlabeled"], "teachers": ["source"], "start_from": "start", "trainable": None}
    assert made["transfer"]["phases"] == {"a": {**first, "batches": {"batch_size": 8}}, "b": {"reads": None}}
    assert made["transfer"]["measuring"] is None and "episodes" not in made["transfer"]
    assert made["pretrain"]["phases"]["align"]["trainable"] == {**frozen, "patterns": ["encoder.*", "head.*"]}
    assert upgraded(made) == made


def test_a_target_of_functions_has_the_objective_that_it_has_now():
    old = {
        "target": {"_target_": "xlearn.tasks.sinusoid.sinusoid"},
        "objective": {"_target_": "xlearn.objectives.CrossEntropy"},
    }
    assert upgraded(old)["objective"] == {"_target_": "xlearn.objectives.Supervised"}
    chosen = {"target": "sinusoid", "objective": "cross_entropy"}
    assert upgraded_choices(chosen) == {**chosen, "objective": "supervised", "batches": "examples"}
