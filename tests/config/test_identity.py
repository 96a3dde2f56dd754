"""What makes a run the run it is: one definition, by a property of each field of the schema."""

from dataclasses import fields

from xlearn.config.compose import complete, composed, plain, register
from xlearn.config.schema import TrainConfig, identity
from xlearn.runtime.hashing import digest


def config(*words):
    register([])
    return composed([*words], [])


def test_what_does_not_determine_the_numbers_is_declared_by_its_field():
    beside = {each.name for each in fields(TrainConfig) if not each.metadata.get("identity", True)}
    assert beside == {"experiment", "force", "device", "threads", "checkpoint_seconds"}
    content = {each.name: 0 for each in fields(TrainConfig)} | {"choices": {}, "hydra": {}}
    assert identity(content).keys() == {each.name for each in fields(TrainConfig)} - beside


def test_the_folder_of_a_run_is_its_identity():
    made = config("seed=3")
    assert made.hydra.run.dir == f"outputs/default/{digest(identity(complete(made)))}"
    assert identity(made, plain) == identity(complete(made))


def test_where_and_how_fast_a_run_runs_is_no_part_of_it():
    folders = {
        config(*words).hydra.run.dir.rpartition("/")[2]
        for words in ([], ["threads=2"], ["force=true"], ["device=cpu"], ["checkpoint_seconds=1"], ["experiment=other"])
    }
    assert len(folders) == 1 and config("seed=1").hydra.run.dir.rpartition("/")[2] not in folders
