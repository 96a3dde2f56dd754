"""What makes a run the run it is: one definition, by a property of each field of the schema."""

from dataclasses import fields

import pytest

from xlearn.config.compose import complete, composed, plain, register
from xlearn.config.folders import conf_folder, options
from xlearn.config.schema import TrainConfig, identity
from xlearn.runtime.hashing import digest


def config(*words):
    register([])
    return composed([*words], [])


def test_what_does_not_determine_the_numbers_is_declared_by_its_field():
    beside = {each.name for each in fields(TrainConfig) if not each.metadata.get("identity", True)}
    assert beside == {"experiment", "force", "device", "threads", "workers", "devices", "checkpoint_seconds", "label_space"}
    content = {each.name: 0 for each in fields(TrainConfig)} | {"choices": {}, "hydra": {}}
    assert identity(content).keys() == {each.name for each in fields(TrainConfig)} - beside


def test_the_folder_of_a_run_is_its_identity():
    made = config("seed=3")
    assert made.hydra.run.dir == f"outputs/default/{digest(identity(complete(made)))}"
    assert identity(made, plain) == identity(complete(made))


def test_a_new_key_that_is_null_makes_no_other_run():
    """At the top, in a phase, in an option of data; but an argument of a component that is null is an argument."""
    made = complete(config("transfer=kd", "target.shots=null"))
    before = digest(identity(made))
    new = {**made, "of_tomorrow": None, "group_of_tomorrow": {"first": None, "second": {}}}
    new["transfer"] = {
        **new["transfer"],
        "phases": {name: {**each, "new": None} for name, each in new["transfer"]["phases"].items()},
    }
    new["image"] = {**new["image"], "new": None}
    assert digest(identity(new)) == before
    for key, value in (("of_tomorrow", 0), ("of_tomorrow", False), ("of_tomorrow", ""), ("of_tomorrow", [])):
        assert digest(identity({**new, key: value})) != before
    new["target"] = {**new["target"], "new": None}
    assert digest(identity(new)) != before


@pytest.mark.slow
def test_no_two_options_become_one_run_by_what_is_left_out():
    """Every single option of every group, composed: as many digests without nulls as with them."""
    left = []
    for group in ("transfer", "pretrain", "objective", "budget", "sharing", "fusion", "encoder/text"):
        for option in options(group, [conf_folder()]):
            words = [f"{group}={option}", *(["sharing.first=1"] if option in ("layers", "branch", "private") else [])]
            made = {name: plain(node) for name, node in config(*words).items() if name != "hydra"}
            left.append((digest(identity(made)), digest(made)))
    assert len({short for short, _ in left}) == len({full for _, full in left}) > 100


def test_where_and_how_fast_a_run_runs_is_no_part_of_it():
    folders = {
        config(*words).hydra.run.dir.rpartition("/")[2]
        for words in ([], ["threads=2"], ["force=true"], ["device=cpu"], ["checkpoint_seconds=1"], ["experiment=other"])
    }
    assert len(folders) == 1 and config("seed=1").hydra.run.dir.rpartition("/")[2] not in folders
