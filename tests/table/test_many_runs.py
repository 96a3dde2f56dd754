"""Many runs and many classes: what a table compares at once, and what results of many classes lack."""

from dataclasses import replace

import pytest
from toys.results import ACCURACY, document, refusal, write

from xlearn.table.collect import collect
from xlearn.table.keys import UNSET, differing, flat


def test_keys_of_equal_parts_are_those_of_a_walk_through_all_of_them(tmp_path):
    """The runs differ in a number within a list, in a key that one of them lacks, and in a whole part."""
    for number, content in enumerate(
        (
            document("lp_ft", 1, 0, 0.6, 0.5),
            document("lp_ft", 5, 1, 0.6, 0.5, encoder__image__widths=[8, 32]),
            document("lp_ft", 5, 1, 0.6, 0.5, optimizer__momentum=0.9, more={"a": None}),
        )
    ):
        write(tmp_path / str(number), content)
    records = collect([tmp_path])
    # A part of the first that others lack.
    records[0] = replace(records[0], config={**records[0].config, "fusion": {"width": 3}})
    content = [flat(record) for record in records]
    keys = dict.fromkeys(key for each in content for key in each)
    found = {key: [each.get(key, UNSET) for each in content] for key in keys}
    expected = {key: list(dict.fromkeys(values)) for key, values in found.items() if len(set(values)) > 1}
    assert differing(records) == expected and [*differing(records)] == [*expected]
    assert expected.keys() == {
        "seed", "target.shots", "encoder.image.widths", "optimizer.momentum", "fusion.width",
    }  # fmt: skip


def test_runs_are_found_wherever_they_lie(tmp_path):
    places = ["", "a", "a/b/c", "a/.hidden"]
    for place in places:
        write(tmp_path / place, document("lp_ft", 1, 0, 0.6, 0.5))
    (tmp_path / "a" / ".hydra").mkdir()
    (tmp_path / "empty").mkdir()
    found = collect([tmp_path, tmp_path / "a"])
    assert sorted(str(each.folder.relative_to(tmp_path)) for each in found) == [".", "a", "a/.hidden", "a/b/c"]


@pytest.mark.parametrize("path", ["per_class.cat.f1", "tasks.target.per_class.cat.f1"])
def test_a_number_per_class_of_many_classes_is_refused_with_the_reason(path, tmp_path, capsys):
    for seed, accuracy in enumerate(ACCURACY["lp_ft", 1]):
        content = document("lp_ft", 1, seed, accuracy, 0.5)
        del content["metrics"]["per_class"]
        write(tmp_path / str(seed), content)
    told = refusal([str(tmp_path), "--metric", path], capsys)
    assert f"--metric {path}" in told and "1000 classes" in told and "predictions.safetensors" in told
