"""Values of keys that are texts stay as they are typed, whatever they look like."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from xlearn.commands.jobs import jobs
from xlearn.commands.train import main
from xlearn.config.compose import complete, composed, plain, register

LIKE_NUMBERS = (
    "7e91234",
    "5e80001",
    "1e5",
    "007",
    "1_000",
    "+5",
    "1.",
    ".5",
    "inf",
    "nan",
    "2020-01-01",
    "True",
    "false",
    "Null",
)


def composes(*words: str, folders: tuple[Path, ...] = ()):
    register([*folders])
    return composed(words, [*folders])


@pytest.mark.parametrize("name", LIKE_NUMBERS)
def test_an_experiment_is_called_as_typed(name):
    config = composes(f"experiment={name}")
    assert config.experiment == name
    assert config.hydra.run.dir.startswith(f"outputs/{name}/")


def test_numbers_stay_numbers_and_null_stays_null_where_keys_take_them():
    config = composes(
        "seed=7", "target.shots=null", "target.fraction=1e-1", "optimizer.lr=1e-3", "threads=1",
        "transfer.phases.finetune.keep=null", "image.size=64", "target.classes=null", "force=true", "device=cuda:7",
    )  # fmt: skip
    assert (config.seed, config.target.shots, config.target.fraction, config.optimizer.lr) == (7, None, 0.1, 0.001)
    assert (config.image.size, config.target.classes, config.force) == (64, None, True)
    assert config.device == "cuda:7"


def test_classes_are_names_or_positions():
    config = composes("target.classes=[1e5,007,1_000,true,null,no,3,'4']", "+target.groups={odd:[1e3,4],even:[true]}")
    assert plain(config.target.classes) == ["1e5", "007", "1_000", "true", "null", "no", 3, "4"]
    assert plain(config.target.groups) == {"odd": ["1e3", 4], "even": ["true"]}


def test_arguments_of_components_follow_their_signature():
    config = composes("target=own_table", "target.file=1e5", "target.label=2020", "target.text=[1e5,null]", "target.size=16")
    node = config.target
    assert (node.file, node.label, plain(node.text), node.size) == ("1e5", "2020", ["1e5", "null"], 16)
    config = composes("transfer=surgical", "transfer.phases.finetune.trainable.block=2", "target=own_table", "target.text=null")
    assert (config.transfer.phases.finetune.trainable.block, config.target.text) == (2, None) or config.target.text is None


def test_swept_texts_are_runs_of_their_own():
    register([])
    found = jobs(["experiment=1e5", "target=own_table", "target.file=a.csv", "target.label=1e3,1_0,null", "seed=0,1"], [])
    assert {job.content["target"]["label"] for job in found} == {"1e3", "1_0", "null"}
    assert {job.folder.parent.name for job in found} == {"1e5"}
    found = jobs(["optimizer.lr=1e-3,1e-2", "experiment=1e5,2e5"], [])
    assert {job.content["optimizer"]["lr"] for job in found} == {0.001, 0.01}
    assert {job.content["experiment"] for job in found} == {"1e5", "2e5"}


def test_a_task_file_writes_classes_as_texts(tmp_path):
    folder = tmp_path / "conf" / "task"
    folder.mkdir(parents=True)
    lines = ["_target_: xlearn.data.tasks.optdigits", "classes: [007, 1_000, no, 2020-01-01, 1e5, 3, '4']", "shots: 5"]
    (folder / "own.yaml").write_text("\n".join([*lines, "groups: {on: [007], b: [1]}"]), encoding="utf-8")
    config = composes("target=own", "source=own", folders=(folder.parent,))
    assert (
        plain(config.target.classes) == ["007", "1_000", "no", "2020-01-01", "1e5", 3, "4"] == plain(config.source.own.classes)
    )
    assert plain(config.target.groups) == {"on": ["007"], "b": [1]}


def test_two_experiments_that_look_like_infinity_have_two_folders(toy):
    assert main([*toy, "experiment=7e91234"]) == 0
    assert main([*toy, "experiment=5e80001"]) == 0
    assert {each.name for each in Path("outputs").iterdir()} == {"7e91234", "5e80001"}
    written = OmegaConf.load(next(Path("outputs/7e91234").rglob("config.yaml")))
    assert written.experiment == "7e91234"


def test_configurations_without_such_values_are_composed_as_typed():
    assert complete(composes("seed=3", "target.shots=2")) == complete(composes("target.shots=2", "seed=3"))
