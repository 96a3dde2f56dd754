"""Titles name the user's own data; sentences name the right key."""

from typing import Any

import pytest

from xlearn.commands.check import main as check
from xlearn.commands.title import named, title
from xlearn.learners.carry import one_head
from xlearn.runtime.errors import Problem
from xlearn.table.arguments import sources


def test_two_folders_are_told_apart():
    target: dict[str, Any] = {"shots": 1, "fraction": None, "folds": None, "folder": "/data/photos/"}
    config = {"source": {"image_folder": {"folder": "sketches"}}, "target": target, "transfer": {"carry": True}, "seed": 0}
    found = title({"config": config, "choices": {"target": "image_folder", "transfer": "finetune", "sharing": "all"}})
    assert found == "image_folder sketches -> image_folder photos: finetune, sharing all, 1 label per class, seed 0"
    assert named("own_table", {"file": "data/reviews.csv"}) == "own_table reviews.csv"
    assert named("mnist5k", {}) == named("mnist5k", None) == "mnist5k"


def test_equal_classes_under_two_names_are_offered_as_one_head():
    source, target = ["head.polarity2_0a1b2c.weight"], ["encoder.text.x", "head.reviews2_0a1b2c.bias"]
    assert "target.head=polarity" in one_head(source, target)
    assert one_head(source, source) == one_head(source, ["head.reviews2_ffffff.bias"]) == one_head([], target) == ""


def test_a_key_of_a_source_without_its_name_is_one_problem(capsys):
    assert check(["source=image_folder", "source.folder=a", "target=image_folder", "target.folder=b"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("1 problem(s):")
    assert "write source.image_folder.folder." in error


def test_an_experiment_is_found_below_outputs(tmp_path, monkeypatch):
    (tmp_path / "outputs" / "pacs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="There is a folder outputs/pacs"):
        sources(["pacs"], {})
    with pytest.raises(Problem, match="Did you mean outputs/pacs"):
        sources(["pac"], {})
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(Problem, match="experiment=pacs are in outputs/pacs"):
        sources(["pacs"], {})
